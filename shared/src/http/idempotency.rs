//! Requests that are sent twice and done once.
//!
//! The answer is stored under the client's key in the transaction of the work itself, so that there
//! is no moment at which one exists without the other: an environment may be killed at any time.

use sha2::{Digest, Sha256};
use sqlx::types::Json;

use crate::{
    database::transaction::{Change, Transaction},
    http::{problem::Error, refusal::Refusal, response::Answer},
};

/// How long a key is kept, in hours; what is older is purged, and counts as unused before that.
pub const KEPT_HOURS: i32 = 24;
/// The longest key, in characters.
pub const MAX_KEY: usize = 255;
/// The most keys that one statement removes.
const BATCH: i64 = 1000;

/// Whose key it is, and for what.
#[derive(Clone, Debug)]
pub struct Key {
    /// The client's own text, 1 to 255 characters.
    pub key: String,
    /// The caller's subject: keys of two callers have nothing to do with each other.
    pub subject: String,
    /// The route's key, such as `POST /api/appointments`.
    pub route: String,
    /// The request's path: two doctors' time off are two things, also where both begin alike.
    pub path: String,
    /// The request's body, as it came.
    pub body: Vec<u8>,
}

impl Key {
    /// What tells the same request from another one with the same key.
    fn fingerprint(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(&self.path);
        // No path holds a line feed, so that no other path and body make the same text.
        hasher.update("\n");
        hasher.update(&self.body);
        hasher.finalize().into()
    }
}

/// A change whose answer may be given again.
pub trait Repeatable: Change<Outcome = Answer, Error = Error> {
    /// Whether the caller may have it made, of which [`Change::make`] makes sure itself. Asked again
    /// before the answer is given again: meanwhile they may have lost the role.
    ///
    /// # Errors
    /// As for [`Change::make`], where they may not.
    fn permit(&self, db: &mut Transaction) -> impl Future<Output = Result<(), Error>> + Send;
}

/// A change that is made once for each key.
#[derive(Debug)]
pub struct Once<'a, C> {
    /// The change.
    pub change: &'a C,
    /// Its key; without one it is made whenever it is asked for.
    pub key: Option<&'a Key>,
}

impl<C: Repeatable> Change for Once<'_, C> {
    type Outcome = Answer;
    type Error = Error;

    async fn make(&self, db: &mut Transaction) -> Result<Answer, Error> {
        let Some(key) = self.key else {
            return self.change.make(db).await;
        };
        if !claim(db, key).await? {
            self.change.permit(db).await?;
            return replay(db, key).await;
        }
        let answer = self.change.make(db).await?;
        store(db, key, &answer).await?;
        Ok(answer)
    }
}

/// Makes the key this transaction's. Waits for another one that has it and is not over, until the
/// lock time-out; false where that one did the work.
async fn claim(db: &mut Transaction, key: &Key) -> Result<bool, Error> {
    let fingerprint = key.fingerprint();
    let claimed = sqlx::query_scalar!(
        r#"
        insert into idempotency_keys as k (subject, route, key, fingerprint, status, headers, body, patients)
        values ($1, $2, $3, $4, 0, '[]', '', '{}')
        on conflict (subject, route, key) do update
            set fingerprint = excluded.fingerprint, created_at = now()
            where k.created_at < now() - make_interval(hours => $5)
        returning true as "claimed!"
        "#,
        key.subject,
        key.route,
        key.key,
        fingerprint.as_slice(),
        KEPT_HOURS,
    )
    .fetch_optional(db)
    .await;
    match claimed {
        Ok(claimed) => Ok(claimed.is_some()),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03") => {
            Err(Refusal::KeyInFlight.into())
        }
        Err(error) => Err(error.into()),
    }
}

async fn replay(db: &mut Transaction, key: &Key) -> Result<Answer, Error> {
    let stored = sqlx::query!(
        r#"
        select fingerprint, status, headers as "headers: Json<Vec<(String, String)>>", body, patients
        from idempotency_keys
        where subject = $1 and route = $2 and key = $3
        limit 1
        "#,
        key.subject,
        key.route,
        key.key,
    )
    .fetch_one(db)
    .await?;
    if stored.fingerprint != key.fingerprint() {
        return Err(Refusal::KeyReused.into());
    }
    let status = u16::try_from(stored.status).map_err(|error| Error::Unexpected(error.into()))?;
    let headers = stored.headers.0;
    Ok(Answer::again(status, headers, stored.body, stored.patients))
}

async fn store(db: &mut Transaction, key: &Key, answer: &Answer) -> Result<(), Error> {
    let status = i16::try_from(answer.status).map_err(|error| Error::Unexpected(error.into()))?;
    sqlx::query!(
        "update idempotency_keys set status = $4, headers = $5, body = $6, patients = $7
         where subject = $1 and route = $2 and key = $3",
        key.subject,
        key.route,
        key.key,
        status,
        Json(&answer.headers) as _,
        answer.body,
        &answer.patients,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes keys past their time, some at once. One transaction each, so that no lock is held for
/// long.
#[derive(Clone, Copy, Debug)]
pub struct Purge;

impl Change for Purge {
    /// How many were removed; as many as a batch where there may be more.
    type Outcome = u64;
    type Error = Error;

    async fn make(&self, db: &mut Transaction) -> Result<u64, Error> {
        // By its place a row is found at once; by its key, a batch is dear enough that the server
        // would rather read the whole table. The lock keeps it in its place.
        let purged = sqlx::query!(
            "delete from idempotency_keys
             where ctid = any (array(
                 select ctid from idempotency_keys
                 where created_at < now() - make_interval(hours => $1)
                 order by created_at
                 limit $2
                 for update skip locked
             ))",
            KEPT_HOURS,
            BATCH,
        )
        .execute(db)
        .await?;
        Ok(purged.rows_affected())
    }
}

impl Purge {
    /// Whether a batch was full, so that there may be more.
    pub fn is_full(purged: u64) -> bool {
        purged >= BATCH.unsigned_abs()
    }
}
