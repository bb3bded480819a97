//! Old answers go, young ones stay.

use serde_json::{Value, json};

use crate::support::clinic::{Clinic, run_test};

#[tokio::test]
async fn keys_of_yesterday_go_and_todays_stay() {
    run_test(Clinic::open(), async |clinic| {
        // Two batches and a half of old ones.
        clinic
            .sql(
                "insert into idempotency_keys
                     (subject, route, key, fingerprint, status, headers, body, patients, created_at)
                 select 'old', 'r', i::text, '', 201, '[]', '{}', '{}', now() - interval '24 hours 1 minute'
                 from generate_series(1, 2500) i",
            )
            .await;
        clinic
            .sql(
                "insert into idempotency_keys
                     (subject, route, key, fingerprint, status, headers, body, patients, created_at)
                 select 'young', 'r', i::text, '', 201, '[]', '{}', '{}', now() - interval '23 hours 50 minutes'
                 from generate_series(1, 7) i",
            )
            .await;
        let purged = clinic.fleet.invoke("purge", Value::Null).await.unwrap();
        assert_eq!(purged, json!({ "purged": 2500, "complete": true }));
        let left: (i64, i64) = sqlx::query_as(
            "select count(*), count(*) filter (where subject = 'young') from idempotency_keys",
        )
        .fetch_one(&mut clinic.admin)
        .await
        .unwrap();
        assert_eq!(left, (7, 7));
        // As the scheduler invokes it.
        let event = json!({ "source": "aws.scheduler", "detail-type": "Scheduled Event" });
        let purged = clinic.fleet.invoke("purge", event).await.unwrap();
        assert_eq!(purged, json!({ "purged": 0, "complete": true }));
    }).await;
}

#[tokio::test]
async fn a_purge_is_a_user_of_the_database_like_any_other() {
    run_test(Clinic::open(), async |clinic| {
        clinic.fleet.invoke("purge", Value::Null).await.unwrap();
        let created = clinic.logged("purge", "database pool created");
        assert_eq!(created.len(), 1);
        assert_eq!(created[0]["connection_limit"], 1);
        let id = clinic.fleet.environments("purge")[0].id.clone();
        assert!(clinic.fleet.reap(&id).await);
        clinic.sessions_are_gone().await;
    })
    .await;
}
