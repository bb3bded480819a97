//! What a check found: what does not hold, what cannot be told, what is worth a remark.

use serde::Serialize;

/// What a finding means for the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Does not hold.
    Fails,
    /// Depends on something that is not known before the deployment.
    Unknown,
    /// Holds, and should be known.
    Remark,
}

/// Which promise a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The sum of all sessions stays within the ceiling.
    Budget,
    /// The ceiling that the migrations give the role is one that the database has.
    Ceiling,
    /// A function that uses the database has a bound on its environments.
    Reservation,
    /// Acquiring, statement, retry and answer fit into the function's time-out, and that into API
    /// Gateway's.
    TimeLimits,
    /// Lambda's account limit can grant the reservations.
    Account,
    /// Two versions side by side fit too.
    Overlap,
    /// What the functions would refuse at their start.
    Configuration,
    /// What the template does not say.
    Template,
}

/// One thing that a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What it means for the verdict.
    pub severity: Severity,
    /// Which promise it is about.
    pub rule: Rule,
    /// The function's logical id, where it is about one.
    pub function: Option<String>,
    /// What was found, in a sentence.
    pub what: String,
    /// The smallest change that would hold.
    pub change: Option<String>,
}

impl Finding {
    /// Something that does not hold.
    pub fn fails(rule: Rule, what: impl Into<String>) -> Self {
        Self::new(Severity::Fails, rule, what.into())
    }

    /// Something that cannot be told.
    pub fn unknown(rule: Rule, what: impl Into<String>) -> Self {
        Self::new(Severity::Unknown, rule, what.into())
    }

    /// Something to be known.
    pub fn remark(rule: Rule, what: impl Into<String>) -> Self {
        Self::new(Severity::Remark, rule, what.into())
    }

    fn new(severity: Severity, rule: Rule, what: String) -> Self {
        Self {
            severity,
            rule,
            function: None,
            what,
            change: None,
        }
    }

    /// The same about a function.
    #[must_use]
    pub fn of(mut self, function: &str) -> Self {
        self.function = Some(function.to_owned());
        self
    }

    /// The same with what would mend it.
    #[must_use]
    pub fn change(mut self, change: impl Into<String>) -> Self {
        self.change = Some(change.into());
        self
    }
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything holds.
    Holds,
    /// Something does not hold, whatever is not known.
    DoesNotHold,
    /// Nothing is known not to hold, but something cannot be told.
    CannotTell,
}

impl Verdict {
    /// What the findings come to.
    pub fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.severity).min() {
            Some(Severity::Fails) => Self::DoesNotHold,
            Some(Severity::Unknown) => Self::CannotTell,
            Some(Severity::Remark) | None => Self::Holds,
        }
    }
}
