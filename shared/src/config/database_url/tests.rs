use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::{DatabaseUrl, Duration, Host, PathBuf, TlsMode, UrlError, Warning};

fn parse(query: &str) -> DatabaseUrl {
    DatabaseUrl::parse(&format!("postgresql://user@localhost/clinic?{query}"))
        .unwrap_or_else(|error| panic!("{query}: {error}"))
}

fn refuse(query: &str) -> String {
    match DatabaseUrl::parse(&format!("postgresql://user@localhost/clinic?{query}")) {
        Ok(url) => panic!("{query} was accepted: {url:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_prisma_url_works_unchanged() {
    let url = DatabaseUrl::parse(
        "postgresql://user:p%40ss@host:5433/clinic?schema=public&connection_limit=10&pool_timeout=20&sslmode=require",
    )
    .unwrap();
    assert_eq!(url.host, Host::Tcp("host".into()));
    assert_eq!((url.port, url.user.as_str()), (5433, "user"));
    assert_eq!(url.password.expose_secret(), "p@ss");
    assert_eq!(
        (url.database.as_str(), url.schema.as_str()),
        ("clinic", "public")
    );
    assert_eq!(url.connection_limit.map(u32::from), Some(10));
    assert_eq!(url.pool_timeout, Some(Duration::from_secs(20)));
    assert_eq!(url.tls.mode, TlsMode::Require);
    assert_eq!(url.warnings, [Warning::NothingVerified { mode: "require" }]);
    let said = url.warnings[0].to_string();
    assert!(
        said.contains("verify-full") && said.contains("sslaccept=strict"),
        "{said}"
    );
}

#[test]
fn defaults_are_prismas() {
    let url = DatabaseUrl::parse("postgres://user@localhost").unwrap();
    assert_eq!(
        (url.port, url.database.as_str(), url.schema.as_str()),
        (5432, "postgres", "public")
    );
    assert_eq!(url.connection_limit, None);
    assert_eq!(url.pool_timeout, Some(Duration::from_secs(10)));
    assert_eq!(url.connect_timeout, Some(Duration::from_secs(5)));
    assert_eq!(url.socket_timeout, None);
    assert_eq!(url.max_connection_lifetime, None);
    assert_eq!(
        url.max_idle_connection_lifetime,
        Some(Duration::from_secs(300))
    );
    assert_eq!(url.statement_cache_size, 100);
    assert!(!url.pgbouncer && !url.single_use_connections);
    assert_eq!(url.tls.mode, TlsMode::Prefer);
    assert_eq!(url.warnings, []);
}

#[test]
fn zero_switches_a_limit_off_where_prisma_says_so() {
    let url = parse(
        "pool_timeout=0&connect_timeout=0&max_connection_lifetime=0&max_idle_connection_lifetime=0&statement_cache_size=0",
    );
    assert_eq!(url.pool_timeout, None);
    assert_eq!(url.connect_timeout, None);
    assert_eq!(url.max_connection_lifetime, None);
    assert_eq!(url.max_idle_connection_lifetime, None);
    assert_eq!(url.statement_cache_size, 0);
}

#[test]
fn a_value_that_means_nothing_is_named_with_what_is_accepted() {
    for value in [
        "0",
        "-1",
        "ten",
        "1.5",
        "+3",
        "",
        "5001",
        "99999999999999999999",
    ] {
        let said = refuse(&format!("connection_limit={value}"));
        assert!(said.contains("connection_limit="), "{said}");
        assert!(said.contains("from 1 to 5000"), "{said}");
    }
    assert!(refuse("connection_limit=ten").contains("connection_limit=ten"));
    for query in [
        "pgbouncer=yes",
        "single_use_connections=1",
        "sslmode=allow",
        "sslmode=on",
        "sslaccept=lax",
        "channel_binding=always",
        "socket_timeout=0",
        "pool_timeout=1s",
        "options=geqo",
        "schema=",
    ] {
        let name = query.split('=').next().unwrap();
        let said = refuse(query);
        assert!(
            said.contains(name) && said.contains("accepted is"),
            "{said}"
        );
    }
}

#[test]
fn a_misspelt_name_names_the_nearest() {
    for (written, meant) in [
        ("conection_limit", "connection_limit"),
        ("connectionLimit", "connection_limit"),
        ("CONNECTION_LIMIT", "connection_limit"),
        ("connection-limit", "connection_limit"),
        ("pool_timeot", "pool_timeout"),
        ("connection_timeout", "connect_timeout"),
        ("ssl_mode", "sslmode"),
        ("pgbouncr", "pgbouncer"),
        ("shema", "schema"),
    ] {
        let said = refuse(&format!("{written}=1"));
        assert!(
            said.contains(&format!("did you mean {meant}?")),
            "{written}: {said}"
        );
    }
}

#[test]
fn any_other_unknown_name_is_one_warning() {
    let url = parse("target_session_attrs=any&port=1&target_session_attrs=any");
    assert_eq!(
        url.warnings,
        [
            Warning::Unknown("target_session_attrs".into()),
            Warning::Unknown("port".into())
        ]
    );
}

#[test]
fn a_parameter_given_twice_is_refused() {
    assert!(refuse("connection_limit=1&connection_limit=2").contains("more than once"));
}

#[test]
fn strict_means_verify_full() {
    assert_eq!(parse("sslaccept=strict").tls.mode, TlsMode::VerifyFull);
    assert_eq!(
        parse("sslmode=require&sslaccept=strict").tls.mode,
        TlsMode::VerifyFull
    );
    assert_eq!(
        parse("sslaccept=accept_invalid_certs").tls.mode,
        TlsMode::Prefer
    );
    let off = parse("sslmode=disable&sslaccept=strict");
    assert_eq!(
        (off.tls.mode, off.warnings),
        (TlsMode::Disable, vec![Warning::StrictWithoutTls])
    );
    refuse("sslmode=verify-full&sslaccept=accept_invalid_certs");
}

#[test]
fn sslcert_is_the_servers_authority_as_in_prisma() {
    let root = |query| {
        let root = parse(query).tls.root_certificate;
        root.map(|root| (root.parameter, root.path))
    };
    assert_eq!(
        root("sslcert=/ca.pem&sslmode=verify-ca"),
        Some(("sslcert", PathBuf::from("/ca.pem")))
    );
    assert_eq!(
        root("sslrootcert=/ca.pem&sslmode=verify-ca"),
        Some(("sslrootcert", PathBuf::from("/ca.pem")))
    );
    refuse("sslcert=/a.pem&sslrootcert=/b.pem");
    assert_eq!(
        parse("sslcert=/ca.pem&sslmode=require").warnings,
        [Warning::UnusedRootCertificate {
            name: "sslcert",
            mode: "require"
        }]
    );
}

#[test]
fn pkcs12_names_the_pem_alternative() {
    for query in ["sslidentity=client.p12", "sslpassword=secret"] {
        let said = refuse(query);
        assert!(
            said.contains("sslclientcert") && !said.contains("=secret"),
            "{said}"
        );
    }
    refuse("sslclientcert=/c.pem");
    assert!(
        parse("sslclientcert=/c.pem&sslclientkey=/k.pem")
            .tls
            .client_certificate
            .is_some()
    );
}

#[test]
fn the_host_may_be_a_socket_directory_an_address_or_a_parameter() {
    let host = |text: &str| DatabaseUrl::parse(text).unwrap().host;
    assert_eq!(
        host("postgresql://u@[::1]:5432/db"),
        Host::Tcp("::1".into())
    );
    assert_eq!(
        host("postgresql://u@localhost/db?host=/run/pg"),
        Host::Socket("/run/pg".into())
    );
    assert_eq!(
        host("postgresql://u@%2Frun%2Fpg/db"),
        Host::Socket("/run/pg".into())
    );
    assert_eq!(
        host("postgresql://u@one/db?host=two"),
        Host::Tcp("two".into())
    );
    assert!(host("postgresql://u@127.0.0.2/db").is_local());
    assert!(!host("postgresql://u@10.0.0.1/db").is_local());
}

#[test]
fn options_are_read_as_libpq_does() {
    let options = |text: &str| parse(&format!("options={text}")).options;
    assert_eq!(
        options("-c%20geqo=off%20--work_mem=4MB%20-cjit=off"),
        [("geqo", "off"), ("work_mem", "4MB"), ("jit", "off")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    assert_eq!(
        options("-c%20search_path=a%5C%20b"),
        [("search_path".to_owned(), "a b".to_owned())]
    );
}

#[test]
fn what_the_driver_cannot_do_is_refused() {
    assert!(refuse("channel_binding=require").contains("no channel binding"));
    parse("channel_binding=prefer");
}

#[test]
fn other_schemes_missing_users_and_fragments_are_refused() {
    let error = |text: &str| DatabaseUrl::parse(text).unwrap_err();
    assert_eq!(error("mysql://u:p@h/db"), UrlError::Scheme);
    assert_eq!(error("postgresql://h/db"), UrlError::NoUser);
    assert_eq!(
        error("postgresql://u:p@h/db?schema=a#b"),
        UrlError::Fragment
    );
    assert!(matches!(
        error("postgresql://u:%FF@h/db"),
        UrlError::NotText { part: "password" }
    ));
    assert_eq!(
        error("postgresql://u:12?secret&x@h/db"),
        UrlError::AtInQuery
    );
    assert_eq!(
        DatabaseUrl::parse("postgresql://u@h/db/").unwrap().database,
        "db"
    );
    assert!(matches!(error("clinic"), UrlError::Unparsable(_)));
    assert!(matches!(error(""), UrlError::Unparsable(_)));
}

/// Passwords long enough that a chance match with the fixed text of a message is out of the
/// question: an x, then anything, hostile characters well represented.
fn password() -> impl Strategy<Value = String> {
    "[xX][a-zA-Z0-9@:/?#%&=+ äλ_]{12,30}"
}

fn shown(result: &Result<DatabaseUrl, UrlError>) -> String {
    match result {
        Ok(url) => {
            let said: Vec<String> = url.warnings.iter().map(ToString::to_string).collect();
            format!("{url:?} {said:?}")
        }
        Err(error) => format!("{error} {error:?}"),
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = shown(&DatabaseUrl::parse(&text));
    }

    #[test]
    fn arbitrary_queries_never_panic(query in any::<String>()) {
        let _ = shown(&DatabaseUrl::parse(&format!("postgresql://u:p@h/d?{query}")));
    }

    #[test]
    fn an_escaped_password_is_read_and_never_shown(password in password(), query in "(|connection_limit=x|(schema|shema)=[a-z]{0,5})") {
        let escaped = percent_encoding::utf8_percent_encode(&password, percent_encoding::NON_ALPHANUMERIC);
        let result = DatabaseUrl::parse(&format!("postgresql://u:{escaped}@h/d?{query}"));
        if let Ok(url) = &result {
            prop_assert_eq!(url.password.expose_secret(), &password);
        }
        let shown = shown(&result);
        prop_assert!(!shown.contains(&password) && !shown.contains(&escaped.to_string()), "{}", shown);
    }

    #[test]
    fn an_unescaped_password_is_never_shown(password in password()) {
        let shown = shown(&DatabaseUrl::parse(&format!("postgresql://u:{password}@h/d?sslmode=require")));
        prop_assert!(!shown.contains(&password), "{}", shown);
    }

    #[test]
    fn a_password_repeated_in_a_value_is_not_shown(password in "[a-z]{8,20}", name in "(connection_limit|pgbouncer|sslmode|shcema|[a-z]{3,9})") {
        let shown = shown(&DatabaseUrl::parse(&format!("postgresql://u:{password}@h/d?{name}={password}&{password}=1")));
        prop_assert!(!shown.contains(&password), "{}", shown);
    }
}
