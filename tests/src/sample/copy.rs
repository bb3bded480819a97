//! Rows as PostgreSQL's COPY reads them: text, a tab between columns, a line a row.

use sqlx::PgConnection;
use sqlx::postgres::PgCopyIn;
use std::fmt::{Display, Write};

/// Sent in pieces of about this many bytes, so that a large clinic is never in memory as text.
const PIECE: usize = 256 * 1024;

/// A COPY under way.
pub(super) struct Copy<'a> {
    stream: PgCopyIn<&'a mut PgConnection>,
    text: String,
}

impl<'a> Copy<'a> {
    pub(super) async fn begin(
        connection: &'a mut PgConnection,
        statement: &str,
    ) -> Result<Self, sqlx::Error> {
        Ok(Self {
            stream: connection.copy_in_raw(statement).await?,
            text: String::with_capacity(PIECE),
        })
    }

    /// Adds a row; it travels with the next [`send`](Self::send).
    pub(super) fn row(&mut self, write: impl FnOnce(&mut Row<'_>)) {
        write(&mut Row {
            text: &mut self.text,
            first: true,
        });
        self.text.push('\n');
    }

    /// Sends the rows that were added so far.
    pub(super) async fn send(&mut self) -> Result<(), sqlx::Error> {
        for piece in self.text.as_bytes().chunks(PIECE) {
            self.stream.send(piece).await?;
        }
        self.text.clear();
        Ok(())
    }

    /// Sends the rest and lets the database check it all; the number of rows.
    pub(super) async fn finish(mut self) -> Result<u64, sqlx::Error> {
        self.send().await?;
        self.stream.finish().await
    }
}

/// A row being written, column by column.
pub(super) struct Row<'a> {
    text: &'a mut String,
    first: bool,
}

impl Row<'_> {
    /// A value that holds nothing COPY would misread: an id, a time, a number, a word of our own.
    pub(super) fn plain(&mut self, value: impl Display) {
        self.separate();
        write!(self.text, "{value}").expect("a string takes whatever is written to it");
    }

    /// Any text.
    pub(super) fn text(&mut self, value: &str) {
        self.separate();
        for character in value.chars() {
            match character {
                '\\' => self.text.push_str("\\\\"),
                '\t' => self.text.push_str("\\t"),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                other => self.text.push(other),
            }
        }
    }

    /// A text, or null.
    pub(super) fn optional(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.plain("\\N"),
        }
    }

    fn separate(&mut self) {
        if !self.first {
            self.text.push('\t');
        }
        self.first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::Row;

    #[test]
    fn what_would_end_a_column_or_a_row_is_escaped() {
        let mut text = String::new();
        let mut row = Row {
            text: &mut text,
            first: true,
        };
        row.text("a\tb\nc\\N");
        row.optional(None);
        row.plain(7);
        assert_eq!(text, "a\\tb\\nc\\\\N\t\\N\t7");
    }
}
