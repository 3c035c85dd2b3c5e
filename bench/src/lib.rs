//! The hot functions of sheen with something to work on: for the criterion benches, the instruction
//! counts and the test that counts allocations.

pub mod fixtures;
pub mod hot;
pub mod nginx_rules;
