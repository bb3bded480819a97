//! What is encrypted and verified, against a server with a certificate of its own.

use fleet::database::Database;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sqlx::AssertSqlSafe;
use tempfile::NamedTempFile;

use crate::support::clinic::{Clinic, problem, run_test};

/// A server with TLS whose certificate names `localhost`, and the file of who signed it.
async fn server() -> (Database, NamedTempFile) {
    let mut authority = CertificateParams::new([]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = certificate.signed_by(&key, &authority).unwrap();

    let database = Database::builder().start().await.unwrap();
    let mut admin = database.admin().await.unwrap();
    // The server itself writes the files, so that they belong to the user it runs as.
    for (file, pem) in [
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
    ] {
        let lines = pem.trim().replace('\n', "'), ('");
        let write = format!("copy (values ('{lines}')) to program 'umask 077; cat > {file}'");
        sqlx::raw_sql(AssertSqlSafe(write))
            .execute(&mut admin)
            .await
            .unwrap();
    }
    sqlx::raw_sql("alter system set ssl = on")
        .execute(&mut admin)
        .await
        .unwrap();
    sqlx::raw_sql("select pg_reload_conf()")
        .execute(&mut admin)
        .await
        .unwrap();

    let file = NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    (database, file)
}

#[tokio::test]
async fn each_mode_encrypts_and_verifies_what_it_says() {
    let (database, authority) = server().await;
    let authority = authority.path().display().to_string();
    let named = database.application_url().replace("127.0.0.1", "localhost");
    let unnamed = database.application_url();
    run_test(
        Clinic::open_on(database, "", |fleet| fleet),
        async |clinic| {
            let encrypted =
                "select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid)
                     where usename = 'application'";
            for (url, parameters, works) in [
                (&named, "sslmode=disable", Some(false)),
                (&named, "sslmode=prefer", Some(true)),
                (&named, "sslmode=require", Some(true)),
                (
                    &named,
                    &format!("sslmode=verify-full&sslrootcert={authority}"),
                    Some(true),
                ),
                (
                    &named,
                    &format!("sslaccept=strict&sslcert={authority}"),
                    Some(true),
                ),
                // Signed by an unknown authority.
                (&named, "sslmode=verify-full", None),
                (&named, "sslaccept=strict", None),
                (&named, "sslmode=verify-ca", None),
                // The right authority, another host.
                (
                    &unnamed,
                    &format!("sslmode=verify-ca&sslcert={authority}"),
                    Some(true),
                ),
                (
                    &unnamed,
                    &format!("sslmode=verify-full&sslcert={authority}"),
                    None,
                ),
            ] {
                let url = format!("{url}?{parameters}");
                let fleet = clinic
                    .another_fleet(|fleet| fleet.variable("DATABASE_URL", url))
                    .await;
                let reply = crate::support::probe::get(&fleet, "/api/doctors").await;
                match works {
                    Some(tls) => {
                        assert_eq!(reply.status, 200, "{parameters}: {reply:?}");
                        let seen: Option<bool> = sqlx::query_scalar(encrypted)
                            .fetch_one(&mut clinic.admin)
                            .await
                            .unwrap();
                        assert_eq!(seen, Some(tls), "{parameters}");
                    }
                    None => {
                        problem(&reply, 500, "misconfigured");
                    }
                }
                fleet.shutdown().await;
                clinic.sessions_are_gone().await;
            }
        },
    )
    .await;
}
