#![warn(clippy::wildcard_enum_match_arm)]
//! The order of steps of one address, as a value: bound before ready, ready before announced,
//! and never unbound while announced.

use crate::health::Level;

/// How far an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Not on the interface.
    Unbound,
    /// The system was asked to add it.
    Binding,
    /// On the interface; health has not seen its checks good yet.
    Bound,
    /// On the interface and checked; its route is withdrawn.
    Ready,
    /// On the interface, checked, and announced at this level.
    Announced(Level),
    /// The system was asked to remove it.
    Unbinding,
    /// The end: nothing of it is left that the node has to care for.
    Released,
}

/// What happens to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Input {
    /// It is time to ask for it.
    Begin,
    /// It is on the interface.
    Present,
    /// It is not on the interface.
    Absent,
    /// The system would not add it.
    BindFailed,
    /// Health's lease allows this level; `None`: it has no fresh lease or was never ready.
    Allow(Option<Level>),
    /// The sessions are closed: it may go.
    Release,
}

/// What the system is asked to do with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Order {
    /// Add it to the interface.
    Bind,
    /// Remove it from the interface.
    Unbind,
}

impl Step {
    /// The step after `input`; `is_own`: the node binds the address itself.
    pub(super) const fn next(self, input: Input, is_own: bool) -> (Self, Option<Order>) {
        match (self, input) {
            // Whatever is bound may be announced as far as health allows.
            (Self::Bound | Self::Ready | Self::Announced(_), Input::Allow(level)) => match level {
                None => (Self::Bound, None),
                Some(Level::Withdrawn) => (Self::Ready, None),
                Some(level @ (Level::Backup | Level::Preferred)) => (Self::Announced(level), None),
            },
            (Self::Unbound | Self::Binding | Self::Unbinding | Self::Released, Input::Allow(_)) => {
                (self, None)
            }

            (Self::Unbound, Input::Begin) if is_own => (Self::Binding, Some(Order::Bind)),
            (
                Self::Unbound
                | Self::Binding
                | Self::Bound
                | Self::Ready
                | Self::Announced(_)
                | Self::Unbinding
                | Self::Released,
                Input::Begin,
            ) => (self, None),

            (Self::Unbound | Self::Binding, Input::Present) => (Self::Bound, None),
            (
                Self::Bound | Self::Ready | Self::Announced(_) | Self::Unbinding | Self::Released,
                Input::Present,
            ) => (self, None),

            // The route of a lost address goes with this very step.
            (Self::Bound | Self::Ready | Self::Announced(_), Input::Absent) => {
                (Self::Unbound, None)
            }
            (Self::Unbinding, Input::Absent) => (Self::Released, None),
            // While it is being added, an older report may still say that it is not there.
            (Self::Unbound | Self::Binding | Self::Released, Input::Absent) => (self, None),

            (Self::Binding, Input::BindFailed) => (Self::Unbound, None),
            (
                Self::Unbound
                | Self::Bound
                | Self::Ready
                | Self::Announced(_)
                | Self::Unbinding
                | Self::Released,
                Input::BindFailed,
            ) => (self, None),

            // Refused: withdraw first.
            (Self::Announced(_), Input::Release) => (self, None),
            (Self::Binding | Self::Bound | Self::Ready, Input::Release) if is_own => {
                (Self::Unbinding, Some(Order::Unbind))
            }
            (Self::Unbound | Self::Binding | Self::Bound | Self::Ready, Input::Release) => {
                (Self::Released, None)
            }
            (Self::Unbinding | Self::Released, Input::Release) => (self, None),
        }
    }

    /// Whether the address can take queries.
    pub(super) const fn is_bound(self) -> bool {
        match self {
            Self::Bound | Self::Ready | Self::Announced(_) => true,
            Self::Unbound | Self::Binding | Self::Unbinding | Self::Released => false,
        }
    }

    /// The level of its route.
    pub(super) const fn level(self) -> Level {
        match self {
            Self::Announced(level) => level,
            Self::Unbound
            | Self::Binding
            | Self::Bound
            | Self::Ready
            | Self::Unbinding
            | Self::Released => Level::Withdrawn,
        }
    }
}

#[cfg(test)]
mod tests;
