//! Where an appointment stands, and which steps there are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where an appointment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    /// Booked.
    Scheduled,
    /// The patient said that they will come.
    Confirmed,
    /// The patient is in the waiting room.
    CheckedIn,
    /// The patient is with the doctor.
    InProgress,
    /// It is over.
    Completed,
    /// It was given up; the time is free again.
    Cancelled,
    /// The patient did not come; the time is free again.
    NoShow,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Confirmed,
        Self::CheckedIn,
        Self::InProgress,
        Self::Completed,
        Self::Cancelled,
        Self::NoShow,
    ];

    /// The steps from here: the state machine. Whatever is over stays as it is.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Scheduled => &[
                Self::Confirmed,
                Self::CheckedIn,
                Self::Cancelled,
                Self::NoShow,
            ],
            Self::Confirmed => &[Self::CheckedIn, Self::Cancelled, Self::NoShow],
            Self::CheckedIn => &[Self::InProgress, Self::Cancelled],
            Self::InProgress => &[Self::Completed],
            Self::Completed | Self::Cancelled | Self::NoShow => &[],
        }
    }

    /// Whether there is such a step, or nothing changes.
    pub fn may_become(self, next: Self) -> bool {
        self == next || self.next().contains(&next)
    }

    /// Whether the time can still be changed: nobody has come yet.
    pub fn is_movable(self) -> bool {
        matches!(self, Self::Scheduled | Self::Confirmed)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheduled => "scheduled",
            Self::Confirmed => "confirmed",
            Self::CheckedIn => "checked_in",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::NoShow => "no_show",
        })
    }
}
