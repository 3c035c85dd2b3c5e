//! Sleeping on a worker. Connections have no timers of their own: see `stage::Registry`.

use std::time::Duration;

pub async fn sleep(duration: Duration) {
    monoio::time::sleep(duration).await;
}
