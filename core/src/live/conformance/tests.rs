use super::*;
use crate::live::MemoryCounters;

#[tokio::test]
async fn counters_in_memory_keep_the_contract() {
    let counters = MemoryCounters::default();
    watchers_see_the_newest(&counters, &counters).await;
    watchers_come_and_go(&counters, &counters).await;
}
