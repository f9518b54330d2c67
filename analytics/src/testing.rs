//! Questions about recorded clicks are the same whichever store recorded them: their tests run on both.

use crate::cql::testing::TestStore as OnCql;
use crate::postgres::testing::TestStore as OnPostgres;
use crate::recorded::RecordedClicks;
use gonggumoa_core::store::ClickStore;
use std::sync::Arc;

/// An empty store with its catalog beside it.
pub(crate) trait RecordedUnderTest: Send + Sync {
    /// Its writing side.
    fn writes(&self) -> Arc<dyn ClickStore>;
    /// Its asking side.
    fn recorded(&self) -> Arc<dyn RecordedClicks>;
}

impl RecordedUnderTest for OnPostgres {
    fn writes(&self) -> Arc<dyn ClickStore> {
        self.store.clone()
    }

    fn recorded(&self) -> Arc<dyn RecordedClicks> {
        self.store.clone()
    }
}

impl RecordedUnderTest for OnCql {
    fn writes(&self) -> Arc<dyn ClickStore> {
        self.store.clone()
    }

    fn recorded(&self) -> Arc<dyn RecordedClicks> {
        self.store.clone()
    }
}

/// Makes of each function over a [`RecordedUnderTest`] a test on PostgreSQL and one on CQL.
macro_rules! on_both_stores {
    ($($promise:ident),+ $(,)?) => {
        mod on_postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let Some(subject) = crate::postgres::testing::TestStore::open().await else { return };
                    super::$promise(&subject).await;
                    subject.close().await;
                }
            )+
        }
        mod on_cql {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    let Some(subject) = crate::cql::testing::TestStore::open().await else { return };
                    super::$promise(&subject).await;
                    subject.close().await;
                }
            )+
        }
    };
}

pub(crate) use on_both_stores;
