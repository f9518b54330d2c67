//! The actor of one gonggu: a shell round the pure [`GongguState`].
//!
//! It folds the clicks of a batch in order and answers with their judgements and the figures that
//! changed. It may ask the store for an older rollup row that a late click belongs to; that row cannot
//! have unstored writes, because rows with unstored writes never leave its memory.
//! It never leaves by itself: the partition knows what is unstored.

use crate::handle::TrackingConfig;
use crate::partition::{PartitionMessage, chain, retrying};
use gonggumoa_core::click::{Judgement, RawClick};
use gonggumoa_core::ids::{GongguId, Position};
use gonggumoa_core::judge::rules::Rules;
use gonggumoa_core::judge::state::{Changes, GongguState};
use gonggumoa_core::judge::totals::RollupKey;
use gonggumoa_core::store::{ClickStore, LoadRequest};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Called before each fold; tests make it panic.
#[cfg(test)]
pub(crate) type FoldHook = Arc<dyn Fn(&RawClick) + Send + Sync>;

pub(crate) struct Gonggu;

pub(crate) struct GongguArguments {
    pub(crate) id: GongguId,
    pub(crate) generation: u64,
    pub(crate) state: Box<GongguState>,
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

/// A gonggu's clicks of one batch, shared so that they survive a panic.
pub(crate) type GongguClicks = Arc<Vec<(Position, RawClick)>>;

/// The gonggu's only message.
pub(crate) struct Fold {
    pub(crate) batch: u64,
    pub(crate) clicks: GongguClicks,
    pub(crate) rules: Arc<Rules>,
    /// Positions that are stored as quarantined instead of folded.
    pub(crate) quarantined: Arc<BTreeSet<Position>>,
    /// Everything up to here is stored: memory that only served unstored writes may go.
    pub(crate) stored_through: Position,
}

/// The answer to a [`Fold`].
pub(crate) struct Folded {
    pub(crate) batch: u64,
    pub(crate) gonggu_id: GongguId,
    pub(crate) generation: u64,
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
        gonggu.state.forget_stored(fold.stored_through);
        let applied_through = gonggu.state.applied_through();
        let skipped = fold.clicks.partition_point(|(position, _)| *position <= applied_through);
        let mut judgements = Vec::with_capacity(fold.clicks.len() - skipped);
        for (position, click) in &fold.clicks[skipped..] {
            if let Err(problem) = supply_rollups(gonggu, click).await {
                // The store's failure, not the click's: the partition is opened again from what is stored.
                let _ = gonggu.context.partition.send_message(PartitionMessage::Failed(problem));
                return Ok(());
            }
            gonggu.folding_position.store(position.0, Ordering::Relaxed);
            #[cfg(test)]
            if let Some(hook) = &gonggu.context.hook
                && !fold.quarantined.contains(position)
            {
                hook(click);
            }
            judgements.push(if fold.quarantined.contains(position) {
                gonggu.state.quarantine(*position, click, &fold.rules)
            } else {
                gonggu.state.fold(*position, click, &fold.rules)
            });
            gonggu.folding_position.store(0, Ordering::Relaxed);
        }
        let answer = Folded {
            batch: fold.batch,
            gonggu_id: gonggu.id,
            generation: gonggu.generation,
            skipped,
            judgements,
            changes: gonggu.state.take_changes(),
            unique_visitors: gonggu.state.unique_visitors(),
        };
        // The partition takes the clicks back out of the shared vector: let go of it first.
        drop(fold);
        // A partition that is gone stops this actor too.
        let _ = gonggu.context.partition.send_message(PartitionMessage::Folded(Box::new(answer)));
        Ok(())
    }
}

/// Loads rollup rows that `click` will write to and that may exist in the store only.
async fn supply_rollups(gonggu: &mut GongguArguments, click: &RawClick) -> Result<(), String> {
    let missing: Vec<RollupKey> = gonggu.state.missing_rollups(click).into_iter().collect();
    if missing.is_empty() {
        return Ok(());
    }
    let request = LoadRequest { gonggu_id: gonggu.id, window_millis: 0, rollups: missing.clone() };
    let load = || gonggu.context.store.load(std::slice::from_ref(&request));
    let mut snapshots =
        retrying(&gonggu.context.config, "load", load).await.map_err(|error| chain(&error))?;
    let snapshot = snapshots.pop().unwrap_or_default();
    for key in missing {
        let row = snapshot.rollups.iter().find(|rollup| rollup.key == key).cloned();
        gonggu.state.insert_rollup(key, row);
    }
    Ok(())
}
