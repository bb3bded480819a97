//! Finding patients by what somebody at the desk or on the phone says.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::{
    error::Error,
    page::{Cursor, Page, PageLimit, Position},
    request,
};

/// The most patients on a page, and the default.
pub const PATIENTS_PAGE: u16 = 50;
/// The fewest characters to search for.
pub(crate) const SHORTEST: usize = 2;
/// So many characters make a trigram, which is what the indexes on parts hold.
const TRIGRAM: usize = 3;

/// A patient as the search shows them: enough to tell two of the same name apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "contract", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FoundPatient {
    /// The patient's id.
    pub id: Uuid,
    /// The patient's name.
    pub full_name: String,
    /// A phone number, as it was written down.
    pub phone: Option<String>,
    /// The day they were born.
    pub date_of_birth: Option<NaiveDate>,
}

/// A place among the patients found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PatientPosition(String, Uuid);

impl Position for PatientPosition {
    const LIST: &'static str = "patients";
}

/// What is searched for: a patient whose name or whose number fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchTerm {
    /// In the name.
    name: Sought,
    /// In the digits of the phone number.
    digits: Sought,
}

/// Where a text is sought: one of the two, or nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sought {
    /// A short text: what begins with it.
    beginning: Option<String>,
    /// A longer one, as a pattern: whatever has it in it.
    part: Option<String>,
}

impl Sought {
    fn new(text: &str) -> Self {
        match text.chars().count() {
            0..SHORTEST => Self::default(),
            SHORTEST..TRIGRAM => Self {
                beginning: Some(text.to_owned()),
                part: None,
            },
            _ => Self {
                beginning: None,
                part: Some(containing(text)),
            },
        }
    }
}

impl SearchTerm {
    /// Reads what was typed; blanks around it do not count.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where it is too short or longer than any name.
    pub fn new(text: Option<&str>) -> Result<Self, Error> {
        let text = request::search_text("q", text)?.unwrap_or_default();
        if text.chars().count() < SHORTEST {
            return Err(Error::BadRequest(format!(
                "q must be at least {SHORTEST} characters of a name or a phone number"
            )));
        }
        Ok(Self {
            name: Sought::new(text),
            digits: Sought::new(&digits(text)),
        })
    }
}

/// The digits of a phone number; none where the text has letters, which belong to a name.
fn digits(text: &str) -> String {
    let is_number = !text.contains(char::is_alphabetic);
    let digits = text.chars().filter(|c| is_number && c.is_ascii_digit());
    digits.collect()
}

/// The pattern of LIKE for whatever has this text in it.
fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// The patients that fit, by name.
///
/// What fits is found first, through the indexes, and put in order then. Left to itself the planner
/// walks through all patients by name where it expects many to fit, and reads the whole table when
/// it is wrong.
///
/// What begins with a text is compared by bytes, as the indexes on beginnings do, whatever the
/// database's collation: everything from the text itself to the text with the last of all characters.
///
/// # Errors
/// The driver's.
pub async fn search(
    db: impl PgExecutor<'_>,
    term: &SearchTerm,
    limit: PageLimit<PATIENTS_PAGE>,
    after: Option<&Cursor<PatientPosition>>,
) -> sqlx::Result<Page<FoundPatient, PatientPosition>> {
    let SearchTerm { name, digits } = term;
    let rows = sqlx::query_as!(
        FoundPatient,
        r#"
        with found as materialized (
            select id, full_name, phone, date_of_birth
            from patients
            where lower(full_name) like lower($1)
               or lower(full_name) ~>=~ lower($2) and lower(full_name) ~<~ (lower($2) || chr(1114111))
               or regexp_replace(phone, '[^0-9]', '', 'g') like $3
               or regexp_replace(phone, '[^0-9]', '', 'g') ~>=~ $4
                  and regexp_replace(phone, '[^0-9]', '', 'g') ~<~ ($4 || chr(1114111))
        )
        select id, full_name, phone, date_of_birth
        from found
        where $5::text is null or (full_name, id) > ($5, $6::uuid)
        order by full_name, id
        limit $7
        "#,
        name.part.as_deref(),
        name.beginning.as_deref(),
        digits.part.as_deref(),
        digits.beginning.as_deref(),
        after.map(|Cursor(position)| position.0.as_str()),
        after.map(|Cursor(position)| position.1),
        limit.rows(),
    )
    .fetch_all(db)
    .await?;
    Ok(Page::new(rows, limit, |last| {
        PatientPosition(last.full_name.clone(), last.id)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beginning(text: &str) -> Sought {
        Sought {
            beginning: Some(text.to_owned()),
            part: None,
        }
    }

    fn part(pattern: &str) -> Sought {
        Sought {
            beginning: None,
            part: Some(pattern.to_owned()),
        }
    }

    #[test]
    fn two_characters_are_a_beginning_and_more_are_a_part() {
        let nowhere = Sought::default;
        for (text, name, digits) in [
            (" 李伟 ", beginning("李伟"), nowhere()),
            ("12", beginning("12"), beginning("12")),
            ("(1", beginning("(1"), nowhere()),
            ("Zoë", part("%Zoë%"), nowhere()),
            ("+49 (30) 1", part("%+49 (30) 1%"), part("%49301%")),
            ("+49", part("%+49%"), beginning("49")),
            ("+ 1", part("%+ 1%"), nowhere()),
            ("Anna 555", part("%Anna 555%"), nowhere()),
            ("100%_\\", part("%100\\%\\_\\\\%"), part("%100%")),
        ] {
            let term = SearchTerm::new(Some(text)).unwrap();
            assert_eq!(term, SearchTerm { name, digits }, "{text}");
        }
    }

    #[test]
    fn less_is_refused() {
        for short in [None, Some(""), Some(" "), Some(" a "), Some("é")] {
            let refused = SearchTerm::new(short).unwrap_err();
            assert!(refused.to_string().contains("at least 2"), "{refused}");
        }
    }
}
