//! Where an appointment stands, and which steps there are.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::http::refusal::Refusal;

/// The status of an appointment.
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

    /// The steps from here: the state machine.
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

    /// The steps back from here, by which staff takes back what was a slip.
    pub const fn back(self) -> &'static [Self] {
        match self {
            Self::Scheduled => &[],
            Self::Confirmed | Self::Cancelled => &[Self::Scheduled],
            Self::CheckedIn => &[Self::Scheduled, Self::Confirmed],
            Self::InProgress => &[Self::CheckedIn],
            Self::Completed => &[Self::InProgress],
            // A patient who comes late has come after all.
            Self::NoShow => &[Self::Scheduled, Self::CheckedIn],
        }
    }

    /// Whether there is such a step, or nothing changes.
    pub fn may_become(self, next: Self) -> bool {
        self == next || self.next().contains(&next)
    }

    /// Whether the time can still be changed: the patient has not come yet.
    pub fn is_movable(self) -> bool {
        matches!(self, Self::Scheduled | Self::Confirmed)
    }

    /// Whether the patient is there: when it ends may still change.
    pub fn is_going_on(self) -> bool {
        matches!(self, Self::CheckedIn | Self::InProgress)
    }

    /// Whether it takes the doctor's time, as the schema's exclusion constraint has it.
    pub fn takes_time(self) -> bool {
        !matches!(self, Self::Cancelled | Self::NoShow)
    }

    /// The name, as JSON and the database have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Confirmed => "confirmed",
            Self::CheckedIn => "checked_in",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::NoShow => "no_show",
        }
    }

    /// Why a change from this status to `next` is refused.
    pub(super) fn no_step(self, next: Self) -> Refusal {
        let why = if self.back().contains(&next) {
            format!("only staff may take an appointment that is {self} back to {next}")
        } else if self.may_become(next) {
            format!(
                "an appointment that is {self} becomes {next} by POST /api/appointments/{{id}}/cancel, which takes a reason"
            )
        } else {
            format!("an appointment that is {self} cannot become {next}")
        };
        Refusal::InvalidTransition {
            from: self.name(),
            to: next.name(),
            why,
        }
    }

    /// Why an appointment cannot have this status yet.
    pub(super) fn too_early(self) -> Refusal {
        Refusal::TooEarly {
            status: self.name(),
            not_before: match self.since() {
                Since::Ever | Since::ItsBeginning => "it begins",
                Since::ItsDay => "the doctor's day on which it begins",
            },
        }
    }

    /// From when on it can be so.
    pub fn since(self) -> Since {
        match self {
            Self::Scheduled | Self::Confirmed | Self::Cancelled => Since::Ever,
            Self::CheckedIn | Self::InProgress | Self::Completed => Since::ItsDay,
            Self::NoShow => Since::ItsBeginning,
        }
    }
}

/// From when on an appointment can have a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// From its booking on.
    Ever,
    /// From its day on, in the doctor's time zone: people come early.
    ItsDay,
    /// From its beginning on.
    ItsBeginning,
}

/// The state machine, as a table in Markdown: one row a status.
#[cfg(feature = "contract")]
pub(crate) fn table() -> String {
    let names = |steps: &[Status]| {
        let names: Vec<String> = steps.iter().map(|step| format!("`{step}`")).collect();
        names.join(", ")
    };
    let mut table =
        "| status | becomes | staff may take back to | not before |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for status in Status::ALL {
        let since = match status.since() {
            Since::Ever => "",
            Since::ItsDay => "the doctor's day on which it begins",
            Since::ItsBeginning => "it begins",
        };
        let (next, back) = (names(status.next()), names(status.back()));
        table += &format!("| `{status}` | {next} | {back} | {since} |\n");
    }
    table
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
