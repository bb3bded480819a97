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

/// What is searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchTerm {
    /// Two characters: the beginning of the name.
    Beginning(String),
    /// More: any part of the name, or of the phone number where it is one.
    Part {
        /// A pattern for the name.
        name: String,
        /// A pattern for the phone number's digits; none where the text has too few, or letters.
        digits: Option<String>,
    },
}

impl SearchTerm {
    /// Reads what was typed; blanks around it do not count.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where it is too short or longer than any name.
    pub fn new(text: Option<&str>) -> Result<Self, Error> {
        let text = request::search_text("q", text)?.unwrap_or_default();
        match text.chars().count() {
            0..SHORTEST => Err(Error::BadRequest(format!(
                "q must be at least {SHORTEST} characters of a name or a phone number"
            ))),
            SHORTEST..TRIGRAM => Ok(Self::Beginning(text.to_owned())),
            _ => Ok(Self::Part {
                name: containing(text),
                digits: digits(text)
                    .filter(|digits| digits.len() >= TRIGRAM)
                    .map(|digits| containing(&digits)),
            }),
        }
    }
}

/// The digits of a phone number; none where the text has letters, which belong to a name.
fn digits(text: &str) -> Option<String> {
    let is_number = !text.contains(char::is_alphabetic);
    is_number.then(|| text.chars().filter(char::is_ascii_digit).collect())
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
/// What fits is found first, through the index, and put in order then. Left to itself the planner
/// walks through all patients by name where it expects many to fit, and reads the whole table when
/// it is wrong.
///
/// # Errors
/// The driver's.
pub async fn search(
    db: impl PgExecutor<'_>,
    term: &SearchTerm,
    limit: PageLimit<PATIENTS_PAGE>,
    after: Option<&Cursor<PatientPosition>>,
) -> sqlx::Result<Page<FoundPatient, PatientPosition>> {
    let name = after.map(|Cursor(position)| position.0.as_str());
    let id = after.map(|Cursor(position)| position.1);
    let rows = match term {
        SearchTerm::Beginning(beginning) => starting_with(db, beginning, limit, name, id).await?,
        SearchTerm::Part { name: part, digits } => {
            sqlx::query_as!(
                FoundPatient,
                r#"
                with found as materialized (
                    select id, full_name, phone, date_of_birth
                    from patients
                    where lower(full_name) like lower($1)
                       or regexp_replace(phone, '[^0-9]', '', 'g') like $2
                )
                select id, full_name, phone, date_of_birth
                from found
                where $3::text is null or (full_name, id) > ($3, $4::uuid)
                order by full_name, id
                limit $5
                "#,
                part,
                digits.as_deref(),
                name,
                id,
                limit.rows(),
            )
            .fetch_all(db)
            .await?
        }
    };
    Ok(Page::new(rows, limit, |last| {
        PatientPosition(last.full_name.clone(), last.id)
    }))
}

/// The operators compare bytes, as the index on beginnings does, whatever the database's collation:
/// everything from the beginning itself to the beginning with the last of all characters.
async fn starting_with(
    db: impl PgExecutor<'_>,
    beginning: &str,
    limit: PageLimit<PATIENTS_PAGE>,
    name: Option<&str>,
    id: Option<Uuid>,
) -> sqlx::Result<Vec<FoundPatient>> {
    sqlx::query_as!(
        FoundPatient,
        r#"
        with found as materialized (
            select id, full_name, phone, date_of_birth
            from patients
            where lower(full_name) ~>=~ lower($1)
              and lower(full_name) ~<~ (lower($1) || chr(1114111))
        )
        select id, full_name, phone, date_of_birth
        from found
        where $2::text is null or (full_name, id) > ($2, $3::uuid)
        order by full_name, id
        limit $4
        "#,
        beginning,
        name,
        id,
        limit.rows(),
    )
    .fetch_all(db)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, digits: Option<&str>) -> SearchTerm {
        SearchTerm::Part {
            name: name.to_owned(),
            digits: digits.map(str::to_owned),
        }
    }

    #[test]
    fn two_characters_are_a_beginning_and_more_are_a_part() {
        let term = |text| SearchTerm::new(Some(text)).unwrap();
        assert_eq!(term(" 李伟 "), SearchTerm::Beginning("李伟".to_owned()));
        assert_eq!(term("12"), SearchTerm::Beginning("12".to_owned()));
        assert_eq!(term("Zoë"), part("%Zoë%", None));
        assert_eq!(term("+49 (30) 1"), part("%+49 (30) 1%", Some("%49301%")));
        assert_eq!(term("+49"), part("%+49%", None));
        assert_eq!(term("Anna 555"), part("%Anna 555%", None));
        assert_eq!(term("100%_\\"), part("%100\\%\\_\\\\%", Some("%100%")));
    }

    #[test]
    fn less_is_refused() {
        for short in [None, Some(""), Some(" "), Some(" a "), Some("é")] {
            let refused = SearchTerm::new(short).unwrap_err();
            assert!(refused.to_string().contains("at least 2"), "{refused}");
        }
    }
}
