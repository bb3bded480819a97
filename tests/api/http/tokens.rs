//! IAM authentication: each new session logs in with a token that is signed for it, by the clock of
//! that moment. A gateway plays the part of RDS: it takes tokens over TLS, checks what can be
//! checked without AWS's keys, and lets in. That AWS accepts the signature is AWS's to check.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use fleet::{database::Database, moto::Moto};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use url::Url;

use crate::support::{
    clinic::{Clinic, problem, run_test},
    probe::eventually,
};

/// How long RDS accepts a token.
const LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// A clock for processes, which can be put forward while they run: libfaketime reads the file each
/// time that one of them asks what time it is.
struct Clock {
    folder: TempDir,
    ahead: Mutex<TimeDelta>,
}

impl Clock {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("clock"), "+0").unwrap();
        Self {
            folder,
            ahead: Mutex::new(TimeDelta::zero()),
        }
    }

    fn put_forward(&self, time: TimeDelta) {
        let mut ahead = self.ahead.lock().unwrap();
        *ahead += time;
        let file = self.folder.path().join("clock");
        // In one step: a process may be reading.
        let next = self.folder.path().join("next");
        fs::write(&next, format!("+{}", ahead.num_seconds())).unwrap();
        fs::rename(next, file).unwrap();
    }

    #[expect(clippy::disallowed_methods, reason = "the clock that is put forward")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now() + *self.ahead.lock().unwrap()
    }

    fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("LD_PRELOAD", libfaketime().display().to_string()),
            (
                "FAKETIME_TIMESTAMP_FILE",
                self.folder.path().join("clock").display().to_string(),
            ),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // Only the time of day: timers go on as they are.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }
}

fn libfaketime() -> PathBuf {
    let triplets = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    triplets
        .map(|folder| folder.path())
        .chain(["/usr/lib", "/usr/local/lib"].map(PathBuf::from))
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|library| library.is_file())
        .expect("libfaketime was not found: install it with `sudo apt-get install libfaketime`")
}

/// What a client sent in place of a password, taken apart.
#[derive(Clone, Debug)]
struct Token {
    text: String,
    signed_at: DateTime<Utc>,
}

/// RDS's part.
struct Gateway {
    port: u16,
    clock: Arc<Clock>,
    database: u16,
    tokens: Mutex<Vec<Token>>,
    /// Refuses whatever comes, as a database does that asks too often.
    refuses: AtomicBool,
}

impl Gateway {
    /// In front of the server on this port, with a certificate for `localhost`, which it writes to
    /// a file.
    async fn start(database: u16, clock: Arc<Clock>, certificate: &Path) -> Arc<Self> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        fs::write(certificate, cert.pem()).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let tls = TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            clock,
            database,
            tokens: Mutex::default(),
            refuses: AtomicBool::new(false),
        });
        let this = Arc::clone(&gateway);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (this, tls) = (Arc::clone(&this), tls.clone());
                // A client that gives up ends only its own connection.
                tokio::spawn(async move { this.serve(client, &tls).await.ok() });
            }
        });
        gateway
    }

    /// Logs a client in; then it talks to PostgreSQL, which trusts this gateway.
    async fn serve(&self, mut client: TcpStream, tls: &TlsAcceptor) -> std::io::Result<()> {
        let mut request = [0; 8];
        client.read_exact(&mut request).await?;
        assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47], "no request for TLS");
        client.write_all(b"S").await?;
        let mut client = tls.accept(client).await?;
        let start_up = message(&mut client).await?;
        // AuthenticationCleartextPassword: so are tokens sent.
        client.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]).await?;
        assert_eq!(client.read_u8().await?, b'p');
        let token = message(&mut client).await?;
        let token = String::from_utf8_lossy(&token[4..token.len() - 1]).into_owned();
        if !self.accepts(token) {
            let fields = b"SFATAL\0C28000\0MPAM authentication failed for user \"application\"\0\0";
            client.write_u8(b'E').await?;
            client.write_u32(4 + fields.len() as u32).await?;
            client.write_all(fields).await?;
            return client.shutdown().await;
        }
        let mut server = TcpStream::connect(("127.0.0.1", self.database)).await?;
        server.write_all(&start_up).await?;
        copy_bidirectional(&mut client, &mut server).await?;
        Ok(())
    }

    fn accepts(&self, text: String) -> bool {
        let url = Url::parse(&format!("https://{text}")).expect("a URL without its scheme");
        let value = |name: &str| {
            let mut pairs = url.query_pairs().filter(|(key, _)| key == name);
            let (_, value) = pairs.next().unwrap_or_else(|| panic!("no {name}: {url}"));
            assert!(pairs.next().is_none(), "{name} twice: {url}");
            value.into_owned()
        };
        assert_eq!(
            (url.host_str(), url.port()),
            (Some("localhost"), Some(self.port))
        );
        assert_eq!((url.path(), url.scheme()), ("/", "https"));
        assert_eq!(value("Action"), "connect");
        assert_eq!(value("DBUser"), "application");
        assert_eq!(value("X-Amz-Algorithm"), "AWS4-HMAC-SHA256");
        assert_eq!(value("X-Amz-Expires"), LIFETIME.num_seconds().to_string());
        assert_eq!(value("X-Amz-SignedHeaders"), "host");
        assert_eq!(value("X-Amz-Signature").len(), 64);
        let signed_at = value("X-Amz-Date");
        let scope = format!("/{}/us-east-1/rds-db/aws4_request", &signed_at[..8]);
        assert!(value("X-Amz-Credential").ends_with(&scope), "{url}");
        let signed_at = NaiveDateTime::parse_from_str(&signed_at, "%Y%m%dT%H%M%SZ").unwrap();
        let signed_at = signed_at.and_utc();
        let age = self.clock.now() - signed_at;
        self.tokens.lock().unwrap().push(Token { text, signed_at });
        age >= TimeDelta::zero() && age < LIFETIME && !self.refuses.load(Ordering::Relaxed)
    }

    fn tokens(&self) -> Vec<Token> {
        self.tokens.lock().unwrap().clone()
    }
}

/// A message's length, which counts itself, and its content.
async fn message(client: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<Vec<u8>> {
    let length = client.read_u32().await?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize(length as usize, 0);
    client.read_exact(&mut message[4..]).await?;
    Ok(message)
}

#[tokio::test]
async fn each_new_session_logs_in_with_a_token_of_that_moment() {
    let folder = TempDir::new().unwrap();
    let certificate = folder.path().join("authority.pem");
    let clock = Arc::new(Clock::new());
    let database = Database::builder().start().await.unwrap();
    let gateway = Gateway::start(database.port(), Arc::clone(&clock), &certificate).await;
    // The gateway has checked who it is.
    let rules = database.data_folder().join("pg_hba.conf");
    let trust = "host all application 127.0.0.1/32 trust\n";
    fs::write(
        &rules,
        trust.to_owned() + &fs::read_to_string(&rules).unwrap(),
    )
    .unwrap();
    let url = format!(
        "postgresql://application@localhost:{}/clinic?sslmode=verify-full&sslrootcert={}\
         &single_use_connections=true&pool_timeout=5",
        gateway.port,
        certificate.display()
    );
    run_test(
        Clinic::open_on(database, "", |fleet| {
            let fleet = fleet
                .function_variable("doctors", "DATABASE_URL", url)
                .function_variable("doctors", "DATABASE_IAM_AUTH", "on")
                .function_variable("doctors", "AWS_SESSION_TOKEN", "session/token+of=the/role")
                .function_variable("doctors", "RUST_LOG", "trace");
            let keys = Moto::variables(1).into_iter();
            keys.chain(clock.variables())
                .fold(fleet, |fleet, (name, value)| {
                    fleet.function_variable("doctors", name, value)
                })
        }),
        async |clinic| {
            clinic.sql("select pg_reload_conf()").await;

            // Minutes, and at last far beyond the life of the first token: an old one opens no session.
            for minutes in [0, 1, 1, 14, 60] {
                clock.put_forward(TimeDelta::minutes(minutes));
                let reply = clinic.get("/api/doctors").await;
                assert_eq!(reply.status, 200, "{reply:?}");
            }
            let tokens = gateway.tokens();
            assert_eq!(tokens.len(), 5, "one for each session");
            for (minutes, pair) in [1, 1, 14, 60].into_iter().zip(tokens.windows(2)) {
                let step = pair[1].signed_at - pair[0].signed_at;
                assert!(step >= TimeDelta::minutes(minutes), "{minutes}: {step}");
                assert_ne!(pair[0].text, pair[1].text);
            }
            assert_eq!(clinic.fleet.environments("doctors").len(), 1);

            // Refused for a moment, as RDS does when too many come at once: asked again, with a new token.
            gateway.refuses.store(true, Ordering::Relaxed);
            let request = tokio::spawn(crate::support::probe::get(&clinic.fleet, "/api/doctors"));
            eventually(
                "a refusal",
                async || gateway.tokens().len(),
                |tokens| *tokens > 5,
            )
            .await;
            gateway.refuses.store(false, Ordering::Relaxed);
            assert_eq!(request.await.unwrap().status, 200);
            // And for good.
            gateway.refuses.store(true, Ordering::Relaxed);
            let reply = clinic.get("/api/doctors").await;
            problem(&reply, 503, "credentials-unavailable");

            for token in gateway.tokens() {
                let signature = &token.text[token.text.find("X-Amz-Signature=").unwrap()..];
                for line in clinic.fleet.logs("doctors") {
                    assert!(!line.text.contains(signature), "{}", line.text);
                    assert!(!line.text.contains("session/token"), "{}", line.text);
                    assert!(!line.text.contains("session%2Ftoken"), "{}", line.text);
                }
            }
        },
    )
    .await;
}
