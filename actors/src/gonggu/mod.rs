//! The actor of one gonggu: a shell round the pure [`GongguState`].
//!
//! With each share of a batch it is lent its gonggu's state; it folds the clicks in order and answers with
//! the state, their judgements and the figures that changed. It may ask the store for an older rollup row
//! that a late click belongs to; that row cannot have unstored writes, because rows with unstored writes
//! never leave the state's memory. A panic loses the state, and the partition loads it again.
//! Between two shares it holds nothing, so the partition may stop it and start another at any such time.

use crate::handle::TrackingConfig;
use crate::partition::{Chain, PartitionMessage, Terms, error_chain, retrying};
use gonggumoa_core::click::{Judgement, RawClick};
use gonggumoa_core::ids::GongguId;
use gonggumoa_core::judge::state::{Changes, GongguState};
use gonggumoa_core::judge::totals::RollupKey;
use gonggumoa_core::store::{ClickStore, LoadRequest};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Called before each fold; tests make it panic.
#[cfg(test)]
pub(crate) type FoldHook = Arc<dyn Fn(&RawClick) + Send + Sync>;

pub(crate) struct Gonggu;

pub(crate) struct GongguArguments {
    pub(crate) id: GongguId,
    pub(crate) generation: u64,
    /// The position being folded, read by the partition after a panic; 0 between batches.
    pub(crate) folding_position: Arc<AtomicU64>,
    pub(crate) context: Arc<GongguContext>,
}

/// What all gonggus of a partition share.
pub(crate) struct GongguContext {
    pub(crate) partition: ActorRef<PartitionMessage>,
    pub(crate) store: Arc<dyn ClickStore>,
    pub(crate) config: TrackingConfig,
    #[cfg(test)]
    pub(crate) hook: Option<FoldHook>,
}

/// The gonggu's only message.
pub(crate) struct Fold {
    pub(crate) state: Box<GongguState>,
    pub(crate) chain: Chain,
    pub(crate) terms: Arc<Terms>,
}

/// The answer to a [`Fold`].
pub(crate) struct Folded {
    pub(crate) batch: u64,
    pub(crate) gonggu_id: GongguId,
    pub(crate) generation: u64,
    /// The state that was lent, until the partition has taken it back.
    pub(crate) state: Option<Box<GongguState>>,
    /// Clicks at the front that the state already held: a replay after a crash.
    pub(crate) skipped: usize,
    pub(crate) judgements: Vec<Judgement>,
    pub(crate) changes: Changes,
    pub(crate) unique_visitors: u64,
}

impl Actor for Gonggu {
    type Msg = Fold;
    type State = GongguArguments;
    type Arguments = GongguArguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Fold>,
        arguments: GongguArguments,
    ) -> Result<GongguArguments, ActorProcessingErr> {
        Ok(arguments)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Fold>,
        fold: Fold,
        gonggu: &mut GongguArguments,
    ) -> Result<(), ActorProcessingErr> {
        let Fold { mut state, chain, terms } = fold;
        let applied_through = state.applied_through();
        let mut judgements = Vec::with_capacity(chain.clicks as usize);
        let mut skipped = 0;
        for (position, click) in terms.clicks.of(chain) {
            if *position <= applied_through {
                skipped += 1;
                continue;
            }
            if let Err(problem) = supply_rollups(gonggu, &mut state, click).await {
                // The store's failure, not the click's: the partition is opened again from what is stored.
                let _ = gonggu.context.partition.send_message(PartitionMessage::Failed(problem));
                return Ok(());
            }
            gonggu.folding_position.store(position.0, Ordering::Relaxed);
            let is_quarantined = terms.quarantined.contains(position);
            #[cfg(test)]
            if let Some(hook) = &gonggu.context.hook
                && !is_quarantined
            {
                hook(click);
            }
            judgements.push(if is_quarantined {
                state.quarantine(*position, click, &terms.rules)
            } else {
                state.fold(*position, click, &terms.rules)
            });
            gonggu.folding_position.store(0, Ordering::Relaxed);
        }
        let changes = state.take_changes();
        // Only now: before, rows that were loaded for these clicks would be taken for old ones.
        state.forget_stored(terms.stored_through);
        let answer = Folded {
            batch: terms.batch,
            gonggu_id: gonggu.id,
            generation: gonggu.generation,
            skipped,
            judgements,
            changes,
            unique_visitors: state.unique_visitors(),
            state: Some(state),
        };
        // The partition takes the clicks back out of what is shared: let go of it first.
        drop(terms);
        // A partition that is gone stops this actor too.
        let _ = gonggu.context.partition.send_message(PartitionMessage::Folded(Box::new(answer)));
        Ok(())
    }
}

/// Loads rollup rows that `click` will write to and that may exist in the store only.
async fn supply_rollups(
    gonggu: &GongguArguments,
    state: &mut GongguState,
    click: &RawClick,
) -> Result<(), String> {
    let missing: Vec<RollupKey> = state.missing_rollups(click);
    if missing.is_empty() {
        return Ok(());
    }
    let request = LoadRequest { gonggu_id: gonggu.id, window_millis: 0, rollups: missing.clone() };
    let load = || gonggu.context.store.load(std::slice::from_ref(&request));
    let mut snapshots =
        retrying(&gonggu.context.config, "load", load).await.map_err(|error| error_chain(&error))?;
    let snapshot = snapshots.pop().unwrap_or_default();
    for key in missing {
        let row = snapshot.rollups.iter().find(|rollup| rollup.key == key).cloned();
        state.insert_rollup(key, row);
    }
    Ok(())
}
