//! Sessions, replayed from what the server itself wrote down.

use chrono::{DateTime, NaiveDateTime, Utc};
use std::collections::HashMap;

/// How the server begins each line: time, process, SQLSTATE, and for people the role, database and
/// application.
pub(super) const LINE_PREFIX: &str = "%m [%p] %e %u@%d/%a ";

/// One session, from the server's permission to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The server process that served it.
    pub pid: u32,
    /// Its role.
    pub user: String,
    /// Its database.
    pub database: String,
    /// The name that the client gave when it connected; empty when it gave none.
    pub application_name: String,
    /// When the server let it in, UTC, to the millisecond.
    pub start: DateTime<Utc>,
    /// When it ended, `None` while it lasts.
    pub end: Option<DateTime<Utc>>,
    /// The server's permission and the end, as places in the log.
    first_line: usize,
    last_line: Option<usize>,
    /// The first and the last line that the session wrote while it was there.
    work: Option<(usize, usize)>,
}

/// A login that got past its password and was refused all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The role that was refused.
    pub user: String,
    /// When, UTC.
    pub at: DateTime<Utc>,
    /// Why: 53300 for "too many connections", whichever of its limits was reached.
    pub sqlstate: String,
}

/// What a server's log says of its sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionLog {
    /// Every session, in the order of its start.
    pub sessions: Vec<Session>,
    /// Every login refused after its password was accepted, in order.
    pub refusals: Vec<Refusal>,
}

impl ConnectionLog {
    /// Replays a log that was written with `log_connections`, `log_disconnections` and this
    /// module's prefix.
    ///
    /// "connection authorized" is not yet a session: PostgreSQL writes it when the password was
    /// right and only then looks at the role's, the database's and its own limits. A login refused
    /// by one of them gets a FATAL line and no "disconnection" line; a session that the server ends
    /// later gets both. So a FATAL line makes a refusal, and a "disconnection" line after it takes
    /// that back.
    pub fn parse(log: &str) -> Self {
        let mut replay = Replay::default();
        for (number, line) in log.lines().enumerate() {
            if let Some(line) = Line::parse(line) {
                replay.take(number, &line);
            }
        }
        replay.finish()
    }

    /// The most sessions of a role at one moment, in the order of the log's lines.
    ///
    /// Never less than the truth. It can be more where one session ends at the very instant at
    /// which another begins: a server process gives its slot back a moment before it writes
    /// "disconnection", and takes one a moment after it wrote "connection authorized".
    /// [`certain_peak`](Self::certain_peak) leaves such handovers out.
    pub fn peak(&self, user: &str) -> usize {
        let steps = self.sessions_of(user).flat_map(|session| {
            let last = session.last_line.unwrap_or(usize::MAX);
            [(session.first_line, 1), (last, -1)]
        });
        most_at_once(steps.collect())
    }

    /// The most sessions of a role that certainly had their slots at one moment, in the order of
    /// the log's lines.
    ///
    /// Never more than the truth: a session counts from the first line that it wrote after it was
    /// let in to its last one before it gave its slot back. The server writes such lines for
    /// every statement with `log_duration`, and when it ends a session itself.
    pub fn certain_peak(&self, user: &str) -> usize {
        let work = self.sessions_of(user).filter_map(|session| session.work);
        // The slot is held until after the last line was written.
        let steps = work.flat_map(|(first, last)| [(first, 1), (last + 1, -1)]);
        most_at_once(steps.collect())
    }

    fn sessions_of(&self, user: &str) -> impl Iterator<Item = &Session> {
        self.sessions
            .iter()
            .filter(move |session| session.user == user)
    }
}

/// The highest sum that the steps reach, taken in the order of their keys; of equal keys the end
/// comes first.
fn most_at_once<K: Ord>(mut steps: Vec<(K, isize)>) -> usize {
    steps.sort();
    let mut open = 0_isize;
    let mut most = 0;
    for (_, step) in steps {
        open += step;
        most = most.max(open);
    }
    most.unsigned_abs()
}

/// A line of the log, as far as sessions are concerned.
struct Line<'a> {
    at: DateTime<Utc>,
    pid: u32,
    sqlstate: &'a str,
    said: Said<'a>,
}

enum Said<'a> {
    Authorized {
        user: &'a str,
        database: &'a str,
        application_name: &'a str,
    },
    Disconnected,
    Fatal,
    /// The server begins anew; no session of before is left.
    NewLife,
    /// Whatever a session says while it is there.
    Anything,
}

impl<'a> Line<'a> {
    /// `None` for the further lines of a long message.
    fn parse(line: &'a str) -> Option<Self> {
        let (time, rest) = line.split_once(" UTC [")?;
        let (pid, rest) = rest.split_once("] ")?;
        let (sqlstate, rest) = rest.split_once(' ')?;
        let at = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%.3f")
            .ok()?
            .and_utc();
        Some(Self {
            at,
            pid: pid.parse().ok()?,
            sqlstate,
            said: Said::parse(rest),
        })
    }
}

impl<'a> Said<'a> {
    fn parse(text: &'a str) -> Self {
        if text.contains(" FATAL:  ") {
            return Self::Fatal;
        }
        let message = text
            .split_once(" LOG:  ")
            .map_or("", |(_, message)| message);
        let login = message
            .strip_prefix("connection authorized: user=")
            .and_then(|login| login.split_once(" database="));
        if let Some((user, login)) = login {
            let (database, name) = login
                .split_once(" application_name=")
                .unwrap_or((login, ""));
            return Self::Authorized {
                user,
                database: before_encryption(database),
                application_name: before_encryption(name),
            };
        }
        if message.starts_with("disconnection: ") {
            Self::Disconnected
        } else if message.starts_with("starting PostgreSQL ")
            || message.starts_with("all server processes terminated")
        {
            Self::NewLife
        } else {
            Self::Anything
        }
    }
}

/// An encrypted login ends with " SSL enabled (…)" or " GSS (…)".
fn before_encryption(text: &str) -> &str {
    let end = text.find(" SSL enabled (").or(text.find(" GSS ("));
    &text[..end.unwrap_or(text.len())]
}

#[derive(Default)]
struct Replay {
    logins: Vec<Login>,
    /// The login that a server process serves; processes come back under the same number.
    by_pid: HashMap<u32, usize>,
}

struct Login {
    session: Session,
    refused: Option<Refusal>,
}

impl Replay {
    fn take(&mut self, number: usize, line: &Line<'_>) {
        match &line.said {
            Said::Authorized {
                user,
                database,
                application_name,
            } => {
                self.end(line.pid, number, line.at);
                self.by_pid.insert(line.pid, self.logins.len());
                self.logins.push(Login {
                    session: Session {
                        pid: line.pid,
                        user: (*user).to_owned(),
                        database: (*database).to_owned(),
                        application_name: (*application_name).to_owned(),
                        start: line.at,
                        end: None,
                        first_line: number,
                        last_line: None,
                        work: None,
                    },
                    refused: None,
                });
            }
            Said::Fatal => {
                self.note_work(line.pid, number);
                if let Some(login) = self.by_pid.get(&line.pid) {
                    let login = &mut self.logins[*login];
                    login.refused = Some(Refusal {
                        user: login.session.user.clone(),
                        at: line.at,
                        sqlstate: line.sqlstate.to_owned(),
                    });
                }
            }
            Said::Disconnected => {
                if let Some(login) = self.by_pid.get(&line.pid) {
                    self.logins[*login].refused = None;
                }
                self.end(line.pid, number, line.at);
            }
            Said::NewLife => {
                let pids: Vec<u32> = self.by_pid.keys().copied().collect();
                for pid in pids {
                    self.end(pid, number, line.at);
                }
            }
            Said::Anything => self.note_work(line.pid, number),
        }
    }

    fn note_work(&mut self, pid: u32, number: usize) {
        if let Some(login) = self.by_pid.get(&pid) {
            let work = &mut self.logins[*login].session.work;
            *work = Some((work.map_or(number, |(first, _)| first), number));
        }
    }

    fn end(&mut self, pid: u32, number: usize, at: DateTime<Utc>) {
        if let Some(login) = self.by_pid.remove(&pid) {
            let session = &mut self.logins[login].session;
            session.end = Some(at);
            session.last_line = Some(number);
        }
    }

    fn finish(self) -> ConnectionLog {
        let mut log = ConnectionLog::default();
        for login in self.logins {
            match login.refused {
                Some(refusal) => log.refusals.push(refusal),
                None => log.sessions.push(login.session),
            }
        }
        log
    }
}

#[cfg(test)]
mod tests {
    use super::ConnectionLog;
    use chrono::TimeDelta;

    fn line(second: u32, pid: u32, sqlstate: &str, message: &str) -> String {
        format!(
            "2026-03-11 14:07:{second:02}.250 UTC [{pid}] {sqlstate} clinic@clinic/[unknown] {message}\n"
        )
    }

    fn received(second: u32, pid: u32) -> String {
        let message = "LOG:  connection received: host=127.0.0.1 port=41234";
        line(second, pid, "00000", message)
    }

    fn authorized(second: u32, pid: u32) -> String {
        let message =
            "LOG:  connection authorized: user=clinic database=clinic application_name=a b";
        received(second, pid) + &line(second, pid, "00000", message)
    }

    fn disconnected(second: u32, pid: u32) -> String {
        let message = "LOG:  disconnection: session time: 0:00:01.000 user=clinic database=clinic host=127.0.0.1 \
                       port=41234";
        line(second, pid, "00000", message)
    }

    fn fatal(second: u32, pid: u32, sqlstate: &str) -> String {
        line(
            second,
            pid,
            sqlstate,
            "FATAL:  too many connections for role \"clinic\"",
        )
    }

    #[test]
    fn a_login_is_read_with_its_name_and_time() {
        let log = ConnectionLog::parse(&(authorized(1, 7) + &disconnected(3, 7)));
        let session = &log.sessions[0];
        assert_eq!((session.pid, session.user.as_str()), (7, "clinic"));
        assert_eq!(session.application_name, "a b");
        assert_eq!(session.start.to_rfc3339(), "2026-03-11T14:07:01.250+00:00");
        assert_eq!(session.end.unwrap() - session.start, TimeDelta::seconds(2));
    }

    #[test]
    fn an_encrypted_login_without_a_name_is_read_too() {
        let message = "LOG:  connection authorized: user=clinic database=clinic SSL enabled (protocol=TLSv1.3, \
                       cipher=TLS_AES_256_GCM_SHA384, bits=256)";
        let log = ConnectionLog::parse(&line(1, 7, "00000", message));
        assert_eq!(log.sessions[0].database, "clinic");
        assert_eq!(log.sessions[0].application_name, "");
    }

    #[test]
    fn a_refused_login_is_no_session() {
        let text =
            authorized(1, 7) + &authorized(2, 8) + &fatal(2, 8, "53300") + &disconnected(3, 7);
        let log = ConnectionLog::parse(&text);
        assert_eq!(log.sessions.len(), 1);
        assert_eq!(log.peak("clinic"), 1);
        assert_eq!(log.refusals[0].sqlstate, "53300");
    }

    #[test]
    fn a_session_that_the_server_ends_is_one() {
        let text = authorized(1, 7) + &fatal(2, 7, "57P05") + &disconnected(2, 7);
        let log = ConnectionLog::parse(&text);
        assert_eq!((log.sessions.len(), log.refusals.len()), (1, 0));
    }

    #[test]
    fn a_refusal_before_the_password_is_nothing_at_all() {
        let text = received(1, 7) + &fatal(1, 7, "53300");
        assert_eq!(ConnectionLog::parse(&text), ConnectionLog::default());
    }

    #[test]
    fn a_server_that_begins_anew_has_no_sessions() {
        for message in [
            "LOG:  starting PostgreSQL 15.12 on x86_64-pc-linux-gnu, compiled by gcc, 64-bit",
            "LOG:  all server processes terminated; reinitializing",
        ] {
            let text = authorized(1, 7) + &line(2, 1, "00000", message) + &authorized(3, 7);
            let log = ConnectionLog::parse(&text);
            assert_eq!(log.sessions.len(), 2);
            assert!(log.sessions[0].end.is_some());
            assert_eq!(log.peak("clinic"), 1);
        }
    }

    #[test]
    fn the_peak_is_of_one_role_and_of_one_moment() {
        let other = line(
            1,
            5,
            "00000",
            "LOG:  connection authorized: user=postgres database=clinic",
        );
        let text = other
            + &authorized(1, 7)
            + &authorized(2, 8)
            + &disconnected(3, 7)
            + &authorized(4, 9)
            + &disconnected(5, 8)
            + &disconnected(5, 9);
        let log = ConnectionLog::parse(&text);
        assert_eq!(log.sessions.len(), 4);
        assert_eq!(log.peak("clinic"), 2);
        assert_eq!(log.peak("postgres"), 1);
        assert_eq!(log.peak("nobody"), 0);
    }

    fn worked(second: u32, pid: u32) -> String {
        line(second, pid, "00000", "LOG:  duration: 0.250 ms")
    }

    #[test]
    fn a_handover_is_not_a_second_session_for_certain() {
        let text = authorized(1, 7)
            + &worked(2, 7)
            + &worked(2, 7)
            + &authorized(3, 8)
            + &disconnected(3, 7)
            + &worked(4, 8)
            + &disconnected(9, 8);
        let log = ConnectionLog::parse(&text);
        assert_eq!((log.peak("clinic"), log.certain_peak("clinic")), (2, 1));
    }

    #[test]
    fn sessions_are_certain_from_their_first_to_their_last_word() {
        let both = authorized(1, 7) + &worked(2, 7) + &authorized(3, 8) + &worked(3, 8);
        let second_only = both.clone() + &worked(4, 8);
        let log = ConnectionLog::parse(&second_only);
        assert_eq!(log.certain_peak("clinic"), 1);
        // The server ended the first one only then.
        let ended = both + &fatal(4, 7, "57P05") + &disconnected(4, 7);
        let log = ConnectionLog::parse(&ended);
        assert_eq!(log.certain_peak("clinic"), 2);
        // Never let in, whatever was said about it.
        let refused = authorized(1, 7) + &worked(1, 7) + &authorized(2, 8) + &fatal(2, 8, "53300");
        let log = ConnectionLog::parse(&refused);
        assert_eq!(log.certain_peak("clinic"), 1);
    }

    #[test]
    fn further_lines_of_a_message_are_not_read() {
        let text = line(1, 7, "42601", "ERROR:  syntax error")
            + "\tselect 'LOG:  connection authorized: user=clinic database=clinic'\n\n[7] 2026";
        assert_eq!(ConnectionLog::parse(&text), ConnectionLog::default());
    }
}
