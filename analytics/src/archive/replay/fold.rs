//! The archive folded by its own rules: from empty states, or where its beginning is gone from the judgements of the
//! first stretch that is left ([`super::beginning`]).

use super::super::ArchiveError;
use super::super::file::{FileHeader, rules_name};
use super::super::read::Files;
use super::beginning::{self, Beginning, Given};
use gonggumoa_core::click::{JudgedClick, RawClick};
use gonggumoa_core::clock::UnixMillis;
use gonggumoa_core::ids::{GongguId, PartitionId, Position};
use gonggumoa_core::judge::rules::{RulesActivation, StoredRules};
use gonggumoa_core::judge::{GongguState, Rules, RulesHistory};
use gonggumoa_core::kst::hour_start;
use gonggumoa_core::log::LogEntry;
use gonggumoa_core::log::codec::encode_click;
use gonggumoa_core::store::{ClickQueries, ClickStore};
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Write;
use std::sync::Arc;

/// Clicks folded before other tasks get their turn.
const FOLDED_AT_ONCE: u64 = 4_096;

/// Appends all of a judged click that archive and store both hold: everything but the raw address.
pub(super) fn canonical_bytes(judged: &JudgedClick, out: &mut Vec<u8>) {
    encode_click(&judged.click, true, out);
    // Compared within one process only, so the derived form is exact enough and leaves no field out.
    let written = write!(out, "{} {:?}", judged.position, judged.judgement);
    debug_assert!(written.is_ok(), "writing to memory does not fail");
}

/// Number and sum of hashes of some clicks, whatever their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct HourDigest {
    clicks: u64,
    hashes: u128,
}

/// Digests of the hours of all gonggus.
#[derive(Default)]
pub(super) struct HourDigests {
    hours: HashMap<GongguId, BTreeMap<UnixMillis, HourDigest>>,
    bytes: Vec<u8>,
}

impl HourDigests {
    pub(super) fn add(&mut self, judged: &JudgedClick) {
        self.bytes.clear();
        canonical_bytes(judged, &mut self.bytes);
        let hash = Sha256::digest(&self.bytes);
        let hours = self.hours.entry(judged.click.gonggu_id).or_default();
        let hour = hours.entry(hour_start(judged.click.clicked_at)).or_default();
        hour.clicks += 1;
        let (first, _) = hash.as_slice().split_first_chunk().unwrap_or((&[0; 16], &[]));
        hour.hashes = hour.hashes.wrapping_add(u128::from_le_bytes(*first));
    }

    pub(super) fn take(&mut self, gonggu_id: GongguId) -> BTreeMap<UnixMillis, HourDigest> {
        self.hours.remove(&gonggu_id).unwrap_or_default()
    }
}

/// The fold and what it knows of rules.
pub(super) struct Fold {
    objects: Arc<dyn ObjectStore>,
    partition: PartitionId,
    /// Fold this epoch of the log only; those before it were folded.
    pub(super) epoch: Option<u16>,
    pub(super) states: HashMap<GongguId, Box<GongguState>>,
    pub(super) clicks: u64,
    pub(super) through: Option<Position>,
    /// Where the comparison begins, if not with the log's first click.
    pub(super) beginning: Option<Beginning>,
    /// Clicks whose judgement was taken over.
    pub(super) believed: u64,
    compared_from: Option<UnixMillis>,
    given: Given,
    rules: Vec<Arc<Rules>>,
    activations: Vec<RulesActivation>,
    history: Option<RulesHistory>,
    quarantined: HashSet<Position>,
    /// Up to where the store's rules and quarantined positions were asked for.
    asked_through: Position,
}

impl Fold {
    pub(super) fn new(objects: Arc<dyn ObjectStore>, partition: PartitionId) -> Self {
        Self {
            objects,
            partition,
            epoch: None,
            states: HashMap::new(),
            clicks: 0,
            through: None,
            beginning: None,
            believed: 0,
            compared_from: None,
            given: Given::default(),
            rules: Vec::new(),
            activations: Vec::new(),
            history: None,
            quarantined: HashSet::new(),
            asked_through: Position(0),
        }
    }

    /// Folds the whole archive, of these gonggus only where some are named.
    pub(super) async fn run<S: ClickQueries + ?Sized>(
        &mut self,
        store: &S,
        only: Option<&BTreeSet<GongguId>>,
        mut each: impl FnMut(&JudgedClick) + Send,
    ) -> Result<(), ArchiveError> {
        self.compared_from = beginning::compared_from(&*self.objects, self.partition).await?;
        let mut files = Files::new(self.objects.clone(), self.partition);
        while let Some(mut file) = files.next().await? {
            if self.epoch.is_some_and(|epoch| epoch != file.header.first.epoch()) {
                continue;
            }
            self.learn(&file.header).await?;
            while let Some((position, entry)) = file.next()? {
                let LogEntry::Click(click) = entry else { continue };
                if !self.has_begun(position, &click)
                    || only.is_some_and(|only| !only.contains(&click.gonggu_id))
                {
                    continue;
                }
                each(&self.take(store, position, click).await?);
                self.clicks += 1;
                if self.clicks.is_multiple_of(FOLDED_AT_ONCE) {
                    tokio::task::yield_now().await;
                }
            }
            self.through = Some(file.header.end.through);
        }
        self.asked_through = self.through.unwrap_or_default();
        Ok(())
    }

    /// Whether this click is compared, and all after it.
    fn has_begun(&mut self, position: Position, click: &RawClick) -> bool {
        let Some(from) = self.compared_from else { return true };
        if self.beginning.is_none() && click.clicked_at >= from {
            self.beginning = Some(Beginning::at(from, position, click.clicked_at));
        }
        self.beginning.is_some()
    }

    /// Judges a click, or takes its judgement over while that cannot be done.
    async fn take<S: ClickQueries + ?Sized>(
        &mut self,
        store: &S,
        position: Position,
        click: RawClick,
    ) -> Result<JudgedClick, ArchiveError> {
        let new = || Box::new(GongguState::new(click.gonggu_id));
        let state = self.states.entry(click.gonggu_id).or_insert_with(new);
        match self.beginning.filter(|beginning| is_believed(beginning, state, &click)) {
            Some(_) if self.quarantined.contains(&position) => {}
            Some(beginning) => {
                let given = self.given.judgement(store, &beginning, position, &click).await?;
                if let (Some(judgement), Some(history)) = (given, &self.history) {
                    let judged = JudgedClick { position, click: click.clone(), judgement };
                    // One that cannot be is judged after all, and then named as a difference.
                    if state.adopt(&judged, history.at(position)).is_ok() {
                        self.believed += 1;
                        return Ok(judged);
                    }
                }
            }
            None if self.beginning.is_some() => self.given.forget(click.gonggu_id),
            None => {}
        }
        match judge(self.history.as_ref(), &self.quarantined, state, position, &click) {
            Some(judgement) => Ok(JudgedClick { position, click, judgement }),
            None => Err(self.no_rules(position)),
        }
    }

    /// Folds a click that is stored beyond the archive's end.
    pub(super) fn fold_beyond(
        &mut self,
        state: &mut GongguState,
        stored: &JudgedClick,
    ) -> Result<JudgedClick, ArchiveError> {
        let (position, click) = (stored.position, stored.click.clone());
        let is_believed = self.beginning.is_some_and(|beginning| is_believed(&beginning, state, &click))
            && !self.quarantined.contains(&position);
        if let (true, Some(history)) = (is_believed, &self.history)
            && state.adopt(stored, history.at(position)).is_ok()
        {
            self.believed += 1;
            return Ok(stored.clone());
        }
        let judgement = judge(self.history.as_ref(), &self.quarantined, state, position, &click)
            .ok_or_else(|| self.no_rules(position))?;
        Ok(JudgedClick { position, click, judgement })
    }

    /// What a file's header says of rules and failures.
    async fn learn(&mut self, header: &FileHeader) -> Result<(), ArchiveError> {
        self.quarantined.extend(&header.quarantined);
        for activation in &header.activations {
            if self.rules.iter().all(|rules| rules.version() != activation.version) {
                let stored = self.archived_rules(activation.version).await?;
                self.rules.push(Arc::new(Rules::compile(&stored)?));
            }
        }
        self.put_in_force(&header.activations)
    }

    async fn archived_rules(&self, version: u32) -> Result<StoredRules, ArchiveError> {
        let name = rules_name(version);
        let failed = |source| ArchiveError::Objects { file: name.to_string(), source };
        let bytes = self.objects.get(&name).await.map_err(failed)?.bytes().await.map_err(failed)?;
        let damaged = |problem| ArchiveError::Damaged { file: name.to_string(), problem };
        let stored: StoredRules =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if stored.version != version {
            return Err(damaged(format!("it holds version {}", stored.version)));
        }
        Ok(stored)
    }

    /// Rules and failures of the store for positions after the archive's end, up to `through`.
    pub(super) async fn learn_beyond<S: ClickStore + ?Sized>(
        &mut self,
        store: &S,
        through: Position,
    ) -> Result<(), ArchiveError> {
        if through <= self.asked_through {
            return Ok(());
        }
        let end = self.through.unwrap_or_default();
        let mut activations = store.activations(self.partition).await?;
        activations.retain(|activation| activation.from > end);
        for stored in store.rules().await? {
            let needed = activations.iter().any(|activation| activation.version == stored.version);
            if needed && self.rules.iter().all(|rules| rules.version() != stored.version) {
                self.rules.push(Arc::new(Rules::compile(&stored)?));
            }
        }
        self.quarantined.extend(store.quarantined(self.partition, end).await?);
        self.put_in_force(&activations)?;
        self.asked_through = through;
        Ok(())
    }

    fn put_in_force(&mut self, activations: &[RulesActivation]) -> Result<(), ArchiveError> {
        let known = self.activations.len();
        for activation in activations {
            if !self.activations.contains(activation) {
                self.activations.push(*activation);
            }
        }
        if self.activations.len() > known {
            self.history = Some(RulesHistory::new(self.rules.clone(), self.activations.clone())?);
        }
        Ok(())
    }

    fn no_rules(&self, position: Position) -> ArchiveError {
        ArchiveError::Damaged {
            file: super::super::file::folder(self.partition).to_string(),
            problem: format!("no rules are in force at {position}"),
        }
    }
}

/// Whether a gonggu's next click is of the first stretch, so that nobody can judge it.
fn is_believed(beginning: &Beginning, state: &GongguState, click: &RawClick) -> bool {
    state.last_judged_at().max(click.clicked_at) < beginning.judged_from
}

fn judge(
    history: Option<&RulesHistory>,
    quarantined: &HashSet<Position>,
    state: &mut GongguState,
    position: Position,
    click: &RawClick,
) -> Option<gonggumoa_core::click::Judgement> {
    let rules = history?.at(position);
    Some(if quarantined.contains(&position) {
        state.quarantine(position, click, rules)
    } else {
        state.fold(position, click, rules)
    })
}
