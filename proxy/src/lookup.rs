//! Tables that the configuration alone fills: nobody outside chooses their keys, so that their hash
//! may be quick and the same in every process.

use foldhash::fast::FixedState;

/// A hash table of what a configuration names.
pub type Lookup<K, V> = std::collections::HashMap<K, V, FixedState>;
