//! Finding patients by what a person at the desk or on the phone says.

use std::cmp::Reverse;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use uuid::Uuid;

use crate::http::{
    page::{Cursor, Page, PageLimit, Position},
    problem::Error,
    request,
};

/// The most patients on a page, and the default.
pub const PATIENTS_PAGE: u16 = 50;
/// The fewest letters and digits to search for. Other characters are in no index: what has nothing
/// else would be sought in every row.
pub(crate) const SHORTEST: usize = 2;
/// So many letters and digits in a row make a trigram, which is what the indexes on parts hold.
const TRIGRAM: usize = 3;
/// Where more patients fit than these, they are found in the order of their names, and no longer all of
/// them first.
const MANY: i64 = 1_000;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchTerm {
    /// A word that has a trigram, as a pattern: a name that has it in it fits, if it has the other
    /// words, too.
    word: Option<String>,
    /// The other words, as patterns, a line for each. A blank stands before the name, so that one of few
    /// letters can be sought where a word begins.
    other_words: String,
    /// Where no word has one: a name fits that begins with this.
    name_beginning: Option<String>,
    /// As a pattern: a number that has these digits in it fits.
    digits: Option<String>,
    /// A number fits that begins with these.
    number_beginning: Option<String>,
}

impl SearchTerm {
    /// Reads what was typed. Its words are sought in any order.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where it says too little, or is longer than any name.
    pub fn new(text: Option<&str>) -> Result<Self, Error> {
        let text = request::search_text("q", text)?.unwrap_or_default();
        if text.chars().filter(|c| c.is_alphanumeric()).count() < SHORTEST {
            return Err(Error::BadRequest(format!(
                "q must have at least {SHORTEST} letters or digits of a name or a phone number"
            )));
        }
        let mut term = Self::default();
        let mut words: Vec<&str> = text.split_whitespace().collect();
        // The rarest first: the index is asked for this one.
        words.sort_by_key(|word| Reverse(longest_run(word)));
        if longest_run(words[0]) < TRIGRAM {
            term.name_beginning = Some(text.clone());
        } else {
            let other_words = words.split_off(1).into_iter().map(|word| match word {
                short if longest_run(short) < TRIGRAM => containing(&format!(" {short}")),
                _ => containing(word),
            });
            term.word = Some(containing(words[0]));
            term.other_words = other_words.collect::<Vec<_>>().join("\n");
        }
        let digits = digits(&text);
        // A number with its country's code is one from its beginning on.
        let whole = text.starts_with('+') || text.starts_with("00");
        if digits.len() >= TRIGRAM && !whole {
            term.digits = Some(containing(&digits));
        } else if digits.len() >= SHORTEST {
            term.number_beginning = Some(digits);
        }
        Ok(term)
    }
}

/// The most letters and digits in a row.
fn longest_run(word: &str) -> usize {
    let runs = word.split(|c: char| !c.is_alphanumeric());
    runs.map(|run| run.chars().count()).max().unwrap_or(0)
}

/// The digits of a phone number as the schema's `phone_digits` has them; none where the text has
/// letters, which belong to a name.
fn digits(text: &str) -> String {
    if text.contains(char::is_alphabetic) {
        return String::new();
    }
    let text = text.replace("(0)", "");
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').to_owned()
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
/// Few are found first, through the indexes on names and numbers, and put in order then. Where many fit
/// (all numbers of a town begin alike) that would be reading all of them for one page; then the clinic's
/// patients are gone through in order, until the page is full, which it soon is. How many fit is
/// counted and not left to the planner, who does not know: it would read the whole table for few,
/// or all of the index for many. So it is not told what is sought either, `(select …)` keeps it from it.
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
    let rows = sqlx::query_as!(
        FoundPatient,
        r#"
        with found as materialized (
            select id, full_name, phone, date_of_birth
            from patients
            where lower(full_name) like (select lower($1))
                  and ' ' || lower(full_name) like all (string_to_array(lower($2), E'\n'))
               or lower(full_name) ~>=~ (select lower($3))
                  and lower(full_name) ~<~ (select lower($3) || chr(1114111))
               or phone_digits(phone) like (select $4::text)
               or phone_digits(phone) ~>=~ (select $5::text)
                  and phone_digits(phone) ~<~ (select $5 || chr(1114111))
        ),
        -- Read no further than that.
        number as materialized (
            select count(*) > $6::bigint as is_large from (select from found limit $6::bigint + 1) counted
        )
        select id as "id!", full_name as "full_name!", phone, date_of_birth
        from (
            select id, full_name, phone, date_of_birth
            from found
            where not (select is_large from number)
            union all
            (
                select id, full_name, phone, date_of_birth
                from patients
                where (select is_large from number)
                  and (full_name, id) > (
                      coalesce($7, ''),
                      coalesce($8, '00000000-0000-0000-0000-000000000000'::uuid)
                  )
                  -- The same as above, and for no index to answer.
                  and coalesce(
                      lower(full_name) like lower($1)
                      and ' ' || lower(full_name) like all (string_to_array(lower($2), E'\n'))
                      or lower(full_name) ~>=~ lower($3)
                      and lower(full_name) ~<~ (lower($3) || chr(1114111))
                      or phone_digits(phone) like $4
                      or phone_digits(phone) ~>=~ $5
                      and phone_digits(phone) ~<~ ($5 || chr(1114111)),
                      false
                  )
                order by full_name, id
                limit $9
            )
        ) fitting
        where $7::text is null or (full_name, id) > ($7, $8::uuid)
        order by full_name, id
        limit $9
        "#,
        term.word.as_deref(),
        term.other_words,
        term.name_beginning.as_deref(),
        term.digits.as_deref(),
        term.number_beginning.as_deref(),
        MANY,
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

    #[test]
    fn words_are_sought_in_names_and_digits_in_numbers() {
        // The word for the index, the other words, the beginning of a name; digits of a number, its beginning.
        for (text, word, others, name, digits, number) in [
            (" 李伟 ", "", "", "李伟", "", ""),
            ("12", "", "", "12", "", "12"),
            ("(1 2", "", "", "(1 2", "", "12"),
            ("A. B.", "", "", "A. B.", "", ""),
            ("Zoë", "%Zoë%", "", "", "", ""),
            // Composed, as the names are.
            ("Zoe\u{308}", "%Zoë%", "", "", "", ""),
            ("Li Müller-K.", "%Müller-K.%", "% Li%", "", "", ""),
            ("+49 (30) 1", "", "", "+49 (30) 1", "", "49301"),
            (
                "0049 (0)30 123",
                "%0049%",
                "%123%\n% (0)30%",
                "",
                "",
                "4930123",
            ),
            ("+49", "", "", "+49", "", "49"),
            ("030 555", "%030%", "%555%", "", "%30555%", ""),
            ("030", "%030%", "", "", "", "30"),
            ("000", "%000%", "", "", "", ""),
            ("Anna 555", "%Anna%", "%555%", "", "", ""),
            ("100%_\\", "%100\\%\\_\\\\%", "", "", "%100%", ""),
        ] {
            let term = SearchTerm::new(Some(text)).expect(text);
            let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let expected = SearchTerm {
                word: given(word),
                other_words: others.to_owned(),
                name_beginning: given(name),
                digits: given(digits),
                number_beginning: given(number),
            };
            assert_eq!(term, expected, "{text}");
        }
    }

    #[test]
    fn less_is_refused() {
        for short in [
            "", " ", " a ", "é", "e\u{301}", "%%%", "___", "...", "+ 1", "a.",
        ] {
            let refused = SearchTerm::new(Some(short)).expect_err(short);
            assert!(refused.to_string().contains("at least 2"), "{refused}");
        }
        assert!(SearchTerm::new(None).is_err());
    }
}
