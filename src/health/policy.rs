//! The policy: from a finding about one target to the level that it leads to, with class and
//! reason, and of several findings the one that counts.
//!
//! With several findings the worst level wins; among equal levels the first in this order:
//! operator, local, start, shared, unheard, overload, links. The table is in the documentation
//! of [`super`].

use std::time::{Duration, Instant};

use super::hold_down::Held;
use super::shared_fault::{Effect, Unheard};
use super::{
    Awaited, FaultClass, Kept, Level, Next, OnLocalFault, OnSharedFault, PeersView, Reason,
    StartGate,
};

/// What is wrong, and what ends it.
pub(super) type Evidence = (Reason, Next);

/// One thing that is known about a target, and what it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) level: Level,
    pub(super) class: Option<FaultClass>,
    pub(super) reason: Reason,
    pub(super) next: Next,
}

/// The finding that counts; they are given in the order of their rank.
pub(super) fn worst(findings: impl IntoIterator<Item = Option<Finding>>) -> Finding {
    // `min_by_key` returns the first of several equal ones.
    let worst = findings.into_iter().flatten().min_by_key(|f| f.level);
    worst.unwrap_or(Finding {
        level: Level::Preferred,
        class: None,
        reason: Reason::Healthy,
        next: Next::Stays,
    })
}

/// The operator wants it to leave. Of a stop nobody says who wants it, and nobody can take it back.
pub(super) fn operator(level: Level, reason: Reason) -> Finding {
    let next = match &reason {
        Reason::Draining { who, until, .. } | Reason::Drained { who, until, .. }
            if !who.is_empty() =>
        {
            Next::Undrained { until: *until }
        }
        _ => Next::Ended,
    };
    Finding {
        level,
        class: Some(FaultClass::Operator),
        reason,
        next,
    }
}

/// The start is not over.
pub(super) fn starting(awaited: Awaited) -> Finding {
    Finding {
        level: Level::Withdrawn,
        class: None,
        reason: Reason::Starting(awaited.clone()),
        next: Next::Announced(awaited),
    }
}

/// The level that a local fault leads to. What has lost its address is announced again only when
/// it is proven, whatever the policy.
pub(super) fn local_level(policy: OnLocalFault, is_proof_due: bool) -> Level {
    match policy {
        OnLocalFault::Backup if !is_proof_due => Level::Backup,
        OnLocalFault::Backup | OnLocalFault::Withdraw => Level::Withdrawn,
    }
}

/// A fault of this node alone.
pub(super) fn local(level: Level, (reason, next): Evidence) -> Finding {
    Finding {
        level,
        class: Some(FaultClass::Local),
        reason,
        next,
    }
}

/// What a service says about shared faults, and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct SharedPolicy {
    pub(super) on_shared_fault: OnSharedFault,
    /// A local fault is suspected, but the shared one may be behind it.
    pub(super) is_mixed: bool,
    /// The level at present.
    pub(super) current: Level,
    /// Between `backup` and `withdrawn`.
    pub(super) drain_wait: Duration,
}

/// A fault that others may have too.
pub(super) fn shared(
    now: Instant,
    (reason, end): Evidence,
    effect: Effect,
    policy: SharedPolicy,
) -> Finding {
    let finding = |level, reason, next| Finding {
        level,
        class: Some(FaultClass::Shared),
        reason,
        next,
    };
    match (policy.on_shared_fault, effect) {
        (OnSharedFault::Keep, Effect::Lowers { .. } | Effect::Nothing(_)) if !policy.is_mixed => {
            finding(Level::Preferred, reason, end)
        }
        (
            OnSharedFault::Withdraw,
            Effect::Lowers {
                since,
                covered_since: Some(covered_since),
            },
        ) => {
            // Make before break: clients move while the old path still works.
            let at = since.max(covered_since) + policy.drain_wait;
            if at <= now || policy.current == Level::Withdrawn {
                finding(Level::Withdrawn, reason, end)
            } else {
                let unless = Box::new(end);
                finding(Level::Backup, reason, Next::WithdrawnAt { at, unless })
            }
        }
        // With nobody to take the clients over, a withdrawal would leave them without any route.
        (
            OnSharedFault::Keep | OnSharedFault::Backup | OnSharedFault::Withdraw,
            Effect::Lowers { .. },
        ) => finding(Level::Backup, reason, end),
        (
            OnSharedFault::Keep | OnSharedFault::Backup | OnSharedFault::Withdraw,
            Effect::Nothing(_),
        ) if policy.is_mixed => finding(Level::Backup, reason, end),
        (
            OnSharedFault::Keep | OnSharedFault::Backup | OnSharedFault::Withdraw,
            Effect::Nothing(why),
        ) => {
            let evidence = Box::new(reason);
            let next = match why {
                Kept::NoSibling(_) => Next::Consented { end: Box::new(end) },
                Kept::NoLink => end,
            };
            finding(Level::Preferred, Reason::Kept { evidence, why }, next)
        }
    }
}

/// Siblings that this node reaches do not reach it.
pub(super) fn unheard(peers: PeersView) -> Finding {
    Finding {
        level: Level::Backup,
        class: Some(FaultClass::Local),
        reason: Reason::Unheard {
            blind: peers.blind,
            reached: peers.reached,
        },
        next: Next::Heard {
            lasting: Unheard::PROOF,
        },
    }
}

/// Queries are lost because there are too many.
pub(super) fn overload(reason: Reason) -> Finding {
    Finding {
        level: Level::Preferred,
        class: Some(FaultClass::Overload),
        reason,
        next: Next::Unloaded,
    }
}

/// None of so many links is up. Not a class of its own: no level could help, and the sessions tell.
pub(super) fn links_down(of: usize) -> Finding {
    Finding {
        level: Level::Preferred,
        class: None,
        reason: Reason::LinksDown { of },
        next: Next::Linked,
    }
}

/// What a step to `preferred` waits for; `spent`: the limit of changes, and until when.
pub(super) fn wait(
    now: Instant,
    held: Option<Held>,
    spent: Option<(u32, Instant)>,
) -> Option<Finding> {
    let reason = match (held, spent) {
        (Some(held), _) => held.reason(now),
        (None, Some((promotions, until))) => Reason::PromotionsSpent { promotions, until },
        (None, None) => return None,
    };
    let turn_at = held.map(|held| held.turn_at);
    let at = turn_at.max(spent.map(|(_, until)| until))?;
    Some(Finding {
        level: Level::Backup,
        // Without a fault that is known it was the operator who restarted or drained it so often.
        class: Some(held.map_or(FaultClass::Operator, |held| held.class)),
        reason,
        next: Next::PreferredAt { at },
    })
}

/// What ends the fault of a critical zone.
pub(super) fn end_of(fault: &Reason) -> Next {
    match fault {
        Reason::UpstreamsDead { zone } => Next::Answered { zone: zone.clone() },
        Reason::PoorCanaries { zone, figures } => Next::Resolved {
            zone: zone.clone(),
            needed: figures.needed,
        },
        Reason::PoorAnswers { zone, .. } => Next::Improved { zone: zone.clone() },
        _ => Next::Stays,
    }
}

/// A gate as what a start waits for.
pub(super) fn gate(gate: StartGate) -> Awaited {
    match gate {
        StartGate::Upstreams => Awaited::Upstreams,
        StartGate::HotNames => Awaited::HotNames,
    }
}
