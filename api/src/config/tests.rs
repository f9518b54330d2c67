#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;
use secrecy::ExposeSecret;

fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_variables(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
}

fn error(pairs: &[(&str, &str)]) -> String {
    read(pairs).expect_err("must be refused").to_string()
}

#[test]
fn nothing_is_required_and_empty_is_unset() {
    let config = read(&[("API_PORT", "  "), ("DATABASE_URL", ""), ("ROLES", "all")]).unwrap();
    assert_eq!(config.http.address().to_string(), "127.0.0.1:8000");
    assert_eq!(config.data_dir, PathBuf::from("data"));
    assert!(config.database.url.is_none());
    assert_eq!(config.rules.dedup_window, Duration::from_secs(300));
    assert_eq!(config.rules.limits.len(), 1);
    assert_eq!((config.rules.limits[0].limit, config.rules.limits[0].member_limit), (60, 1_000));
    assert_eq!(config.shutdown_timeout, Duration::from_secs(20));
    assert_eq!(config.metrics_addr.unwrap().to_string(), "127.0.0.1:9464");
    assert_eq!(config.journal, JournalConfig { max_bytes: 8 << 30, reserve_bytes: 1 << 30 });
}

#[test]
fn lists_come_as_json_or_with_commas() {
    for text in ["10.0.0.0/8, 192.168.1.5 ,", r#"["10.0.0.0/8","192.168.1.5"]"#] {
        let config = read(&[("TRUSTED_PROXIES", text)]).unwrap();
        let proxies: Vec<String> = config.http.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(proxies, ["10.0.0.0/8", "192.168.1.5/32"]);
    }
    let config = read(&[("CORS_ORIGINS", "https://A.example:443,http://localhost:3000")]).unwrap();
    assert_eq!(config.http.cors_origins, ["https://a.example", "http://localhost:3000"]);
}

#[test]
fn the_public_address_is_ours_and_makes_cookies_secure() {
    let http = read(&[("PUBLIC_URL", "https://Gonggu.example:443/")]).unwrap().http;
    assert!(http.own_origins(8000).contains(&"https://gonggu.example".to_owned()));
    assert!(http.own_origins(8000).contains(&"http://127.0.0.1:8000".to_owned()));
    assert_eq!(http.shown_address(), "https://gonggu.example");
    for (host, public_url, secure) in [
        ("127.0.0.1", "", false),
        ("127.0.0.1", "http://localhost:8000", false),
        ("127.0.0.1", "https://gonggu.example", true),
        ("0.0.0.0", "", true),
        ("0.0.0.0", "http://gonggu.example", true),
    ] {
        let http = read(&[("API_HOST", host), ("PUBLIC_URL", public_url)]).unwrap().http;
        assert_eq!(http.cookie_secure(), secure, "{host} {public_url}");
    }
    assert_eq!(read(&[]).unwrap().http.shown_address(), "http://127.0.0.1:8000");
}

#[test]
fn one_start_shows_every_problem_with_name_cause_and_example() {
    let text = error(&[("API_PORT", "80a"), ("DEDUP_WINDOW_SECONDS", "0"), ("METRICS_ADDR", "9000")]);
    assert_eq!(
        text,
        "3 settings are wrong:\
         \n  API_PORT: \"80a\" is not a whole number from 0 to 65535 (example: API_PORT=8000)\
         \n  DEDUP_WINDOW_SECONDS: \"0\" must be from 1 to 86400 (example: DEDUP_WINDOW_SECONDS=300)\
         \n  METRICS_ADDR: \"9000\" is neither an address with a port nor off (example: METRICS_ADDR=127.0.0.1:9464)"
    );
}

#[test]
fn each_bad_value_is_explained() {
    let cases: &[(&str, &str, &str)] = &[
        ("API_HOST", "here", "\"here\" is not an IP address"),
        ("API_PORT", "65536", "is not a whole number from 0 to 65535"),
        ("CORS_ORIGINS", "*", "\"*\" would hand every site the visitors' credentials"),
        ("CORS_ORIGINS", "https://a.example/", "must end after the host or port, without a slash"),
        ("CORS_ORIGINS", "[1]", "is not an array of strings"),
        ("PUBLIC_URL", "a.example", "is not a web address"),
        ("PUBLIC_URL", "https://a.example/shop", "must end after the host or port"),
        ("FRONTEND_URL", "ftp://a.example", "must start with http:// or https://"),
        ("FRONTEND_URL", "https://a:b@c.example", "must not hold a user name or password"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,proxy", "has bad entries: \"proxy\" is neither an address nor"),
        ("CATALOG_CACHE_MILLIS", "10001", "must be from 0 to 10000"),
        ("CONNECTIONS_PER_ADDRESS_MAX", "0", "must be from 1 to 1000000"),
        ("WRITE_STALL_SECONDS", "1", "must be from 5 to 3600"),
        ("JWT_ALGORITHM", "RS256", "must be HS256, HS384 or HS512"),
        ("ACCESS_TOKEN_EXPIRE_MINUTES", "-1", "is not a whole number from 1 to 1440"),
        ("REFRESH_TOKEN_EXPIRE_DAYS", "31", "must be from 1 to 30"),
        ("FRAUD_IP_LIMIT", "0", "must be from 1 to 1000000"),
        ("FRAUD_IP_MEMBER_LIMIT", "30", "is 30, below the limit of everybody (60)"),
        ("IP_RETENTION_DAYS", "0", "must be from 1 to 400"),
        ("JOURNAL_MAX_BYTES", "1GB", "is not a number of bytes (plain, or with KiB, MiB, GiB, TiB)"),
        ("JOURNAL_MAX_BYTES", "127MiB", "must be at least 128MiB: two segments of 64 MiB"),
        ("JOURNAL_MAX_BYTES", "99999999TiB", "is too large"),
        ("SHUTDOWN_TIMEOUT_SECONDS", "0", "must be from 1 to 600"),
        ("ADMIN_EMAIL", "admin", "\"admin\" is not an e-mail address"),
        ("ADMIN_PASSWORD", "long enough", "ADMIN_EMAIL: is missing although ADMIN_PASSWORD is set"),
        ("LOG_FORMAT", "xml", "must be text or json"),
        ("RUST_LOG", "a=b=c", "is not a log filter"),
        ("ROLES", "edge", "edge and judge go together without KAFKA_BROKERS"),
        ("ROLES", "judge,api", "edge and judge go together without KAFKA_BROKERS"),
        ("ROLES", "cook", "\"cook\" is not a role"),
        ("ROLES", ",", "names no role"),
        ("KAFKA_BROKERS", "kafka", "\"kafka\" is not host:port"),
        (
            "KAFKA_BROKERS",
            "k:9092",
            "JWT_SECRET_KEY: is not set: with KAFKA_BROKERS several processes share it",
        ),
        ("KAFKA_PARTITIONS", "0", "must be from 1 to 10000"),
        ("KAFKA_LOG_EPOCH", "0", "must be from 1 to 32767"),
        (
            "KAFKA_CLIENT",
            "sasl.password",
            "KAFKA_CLIENT: the value (not shown) has a part that is not name=value",
        ),
        ("SCYLLA_NODES", ",", "names no node"),
        ("SCYLLA_USER", "gonggumoa", "and SCYLLA_PASSWORD go together"),
        ("REDIS_URL", "http://r", "REDIS_URL: the value (not shown) not a Redis address"),
        ("METRICS_ADDR", "127.0.0.1:8000", "is the same as API_HOST and API_PORT"),
        ("PG_NICE", "20", "must be from 0 to 19"),
        ("SMTP_URL", "mail.example:25", "must start with smtp:// or smtps://"),
        ("SMTP_URL", "smtp://127.0.0.1:25", "MAIL_FROM: is missing although SMTP_URL is set"),
        ("MAIL_FROM", "nobody", "\"nobody\" is not an e-mail address, with a name or without"),
        ("MAIL_RETENTION_DAYS", "0", "must be from 1 to 365"),
    ];
    for (name, value, expected) in cases {
        let text = error(&[(name, value)]);
        assert!(text.contains(expected), "{name}={value} said: {text}");
        assert!(text.contains(name), "{name}={value} said: {text}");
    }
}

#[test]
fn what_processes_share_must_be_given() {
    let text = error(&[("ROLES", "api")]);
    assert!(text.contains("DATABASE_URL: is not set: a process without a journal of its own"), "{text}");
    let text = error(&[("KAFKA_BROKERS", "k:9092")]);
    for name in ["DATABASE_URL", "ADDRESS_HASH_KEY", "JWT_SECRET_KEY"] {
        assert!(text.contains(&format!("{name}: is not set: with KAFKA_BROKERS")), "{text}");
    }
    assert!(text.contains("AWS_S3_BUCKET: is not set, nor ARCHIVE_DIR"), "{text}");
    let key = "ab".repeat(32);
    let shared = [
        ("KAFKA_BROKERS", "k1:9092, k2:9092"),
        ("KAFKA_CLIENT", "security.protocol=ssl,ssl.ca.location=/ca.pem"),
        ("DATABASE_URL", "postgres://p@127.0.0.1/g"),
        ("ADDRESS_HASH_KEY", &key),
        ("JWT_SECRET_KEY", &key),
        ("SCYLLA_NODES", "s1:9042,s2:9042"),
        ("IP_RETENTION_DAYS", "30"),
        ("ROLES", "edge, api"),
    ];
    let cluster = read(&shared).unwrap().cluster;
    assert_eq!(cluster.roles, Roles { edge: true, judge: false, api: true });
    let kafka = cluster.kafka.unwrap();
    assert_eq!((kafka.config.brokers.as_str(), kafka.epoch), ("k1:9092,k2:9092", 1));
    assert_eq!(kafka.config.client["security.protocol"], "ssl");
    let scylla = cluster.scylla.unwrap();
    assert_eq!((scylla.nodes.len(), scylla.ip_retention_days), (2, 30));
}

#[test]
fn the_journal_and_the_reserve_are_sized_apart() {
    for (max, reserve) in [(128 << 20, 1 << 30), (8 << 30, 8 << 30), (1 << 30, 1 << 40)] {
        let (max_text, reserve_text) = (format!("{max}"), format!("{reserve}"));
        let config =
            read(&[("JOURNAL_MAX_BYTES", &max_text), ("DISK_RESERVE_BYTES", &reserve_text)]).unwrap();
        assert_eq!(config.journal, JournalConfig { max_bytes: max, reserve_bytes: reserve });
    }
}

#[test]
fn secrets_are_never_shown() {
    let secret = "hunter2-hunter2";
    let long = format!("postgres://u:{secret}@[bad/db");
    for (name, value) in [
        ("DATABASE_URL", long.as_str()),
        ("DATABASE_URL", &format!("mysql://u:{secret}@h/db")),
        ("JWT_SECRET_KEY", secret),
        ("SMTP_URL", &format!("smtp://{secret}@mail.example")),
        ("SMTP_URL", &format!("smtp://u:{secret}@mail.example?tls=maybe")),
        ("ADDRESS_HASH_KEY", secret),
        ("ADMIN_PASSWORD", &secret.repeat(9)),
    ] {
        let text = error(&[(name, value)]);
        assert!(text.contains(name) && text.contains("not shown") && !text.contains(secret), "{text}");
    }
    let config = read(&[
        ("DATABASE_URL", &format!("postgres://u:{secret}@h/db")),
        ("JWT_SECRET_KEY", &secret.repeat(3)),
        ("ADDRESS_HASH_KEY", &"ab".repeat(32)),
        ("ADMIN_EMAIL", "a@b.example"),
        ("ADMIN_PASSWORD", secret),
    ])
    .unwrap();
    let debug = format!("{config:?}");
    assert!(!debug.contains(secret) && !debug.contains("abab"), "{debug}");
    assert_eq!(config.admin.unwrap().password.expose_secret(), secret);
}

#[test]
fn a_key_must_fit_its_algorithm() {
    let key = "k".repeat(32);
    assert!(read(&[("JWT_SECRET_KEY", &key)]).is_ok());
    let text = error(&[("JWT_SECRET_KEY", &key), ("JWT_ALGORITHM", "HS512")]);
    assert!(text.contains("has 32 bytes; HS512 needs at least 64"), "{text}");
}

#[test]
fn the_network_limit_is_off_until_asked_for() {
    let config = read(&[("FRAUD_NETWORK_LIMIT", "600"), ("FRAUD_NETWORK_WINDOW_SECONDS", "10")]).unwrap();
    let limit = config.rules.limits[1];
    assert_eq!((limit.limit, limit.window_millis, limit.member_limit), (600, 10_000, 10_000));
    assert_eq!(read(&[("FRAUD_NETWORK_LIMIT", "off")]).unwrap().rules.limits.len(), 1);
}

#[test]
fn an_env_file_is_read_and_a_bad_line_named_by_number_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(".env");
    std::fs::write(&file, "# note\nAPI_PORT=8001\nexport JWT_ALGORITHM='HS384'\nAPI_PORT=9\n").unwrap();
    let variables = read_env_file(&file).unwrap();
    assert_eq!((variables["API_PORT"].as_str(), variables["JWT_ALGORITHM"].as_str()), ("8001", "HS384"));

    std::fs::write(&file, "API_PORT=8001\nJWT SECRET hunter2\n").unwrap();
    let problem = read_env_file(&file).unwrap_err();
    assert!(problem.text.contains("setting number 2") && !problem.text.contains("hunter2"), "{problem:?}");
}

#[test]
fn e_mail_addresses_are_composed() {
    assert_eq!(check_email(" 한@b.example ").unwrap(), "한@b.example");
    for bad in [
        "",
        "@b.example",
        "a@b",
        "a b@c.example",
        "a@@b.example",
        "a@.example",
        "a@b..example",
        "<a@b.example>",
        "\"a b\"@c.example",
        "a,c@b.example",
    ] {
        assert!(check_email(bad).is_err(), "{bad}");
    }
}

#[test]
fn social_providers_are_whole_or_absent() {
    assert!(read(&[]).unwrap().social.providers.is_empty());
    let text = error(&[
        ("NAVER_CLIENT_ID", "id"),
        ("GOOGLE_CLIENT_SECRET", "hunter2"),
        ("APPLE_TEAM_ID", "TEAM"),
        ("KAKAO_AUTH_URL", "ftp://kauth.kakao.com"),
    ]);
    for name in ["NAVER_CLIENT_SECRET", "GOOGLE_CLIENT_ID", "APPLE_KEY_ID", "APPLE_PRIVATE_KEY_PATH"] {
        assert!(text.contains(&format!("{name}: is missing")), "{name}: {text}");
    }
    assert!(text.contains("KAKAO_AUTH_URL") && !text.contains("hunter2"), "{text}");

    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.p8");
    std::fs::write(&key, "no key").unwrap();
    let apple = [
        ("APPLE_CLIENT_ID", "kr.example"),
        ("APPLE_TEAM_ID", "TEAM"),
        ("APPLE_KEY_ID", "KEY"),
        ("APPLE_PRIVATE_KEY_PATH", key.to_str().unwrap()),
    ];
    assert!(error(&apple).contains("P-256"));

    let config = read(&[
        ("KAKAO_CLIENT_ID", "id"),
        ("PUBLIC_URL", "https://gonggu.example"),
        ("FRONTEND_URL", "https://www.example.com/app"),
        ("CORS_ORIGINS", "https://m.example.com"),
    ])
    .unwrap();
    let settings = config.social.settings(&config.http, 8000);
    assert_eq!(settings.providers[0].authorize_url, "https://kauth.kakao.com/oauth/authorize");
    let callback = settings.callback(settings.providers[0].provider);
    assert_eq!(callback, "https://gonggu.example/api/v1/auth/social/kakao/callback");
    for origin in ["https://m.example.com", "https://www.example.com", "https://gonggu.example"] {
        assert!(settings.return_origins.iter().any(|ours| ours == origin), "{origin}");
    }
    let strict = read(&[("SOCIAL_RETURN_ORIGINS", "https://only.example")]).unwrap();
    assert_eq!(strict.social.settings(&strict.http, 1).return_origins, ["https://only.example"]);
}

#[test]
fn a_bucket_takes_the_archive_with_all_that_belongs_to_it() {
    let elsewhere = [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "AKOTHER")];
    assert_eq!(read(&elsewhere).unwrap().objects, None, "the tools' variables alone mean nothing here");
    let bucket = [
        ("AWS_S3_BUCKET", "archive"),
        ("AWS_ENDPOINT_URL", "HTTP://store.internal:9000/"),
        ("AWS_ACCESS_KEY_ID", "AKTEST"),
        ("AWS_SECRET_ACCESS_KEY", "the/secret+key="),
        ("ARCHIVE_PREFIX", "/production/"),
    ];
    let config = read(&bucket).unwrap();
    let settings = config.objects.clone().unwrap();
    assert_eq!(settings.endpoint.as_deref(), Some("http://store.internal:9000"));
    assert_eq!((settings.region.as_str(), settings.prefix.as_str()), ("us-east-1", "production"));
    assert_eq!(settings.secret_access_key, "the/secret+key=");
    assert!(!format!("{config:?}").contains("the/secret"));

    let text = error(&[("AWS_S3_BUCKET", "archive"), ("AWS_SECRET_ACCESS_KEY", "pasted twice")]);
    assert!(text.starts_with("3 settings are wrong"), "{text}");
    for name in ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        assert!(text.contains(&format!("\n  {name}: ")), "{text}");
    }
    assert!(!text.contains("pasted"), "{text}");
    let text = error(&[
        ("AWS_S3_BUCKET", "s3://archive"),
        ("AWS_ENDPOINT_URL", "store.internal:9000"),
        ("AWS_ACCESS_KEY_ID", "AKTEST"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("ARCHIVE_PREFIX", "a//b"),
    ]);
    assert!(text.contains("AWS_S3_BUCKET: ") && text.contains("AWS_ENDPOINT_URL: "), "{text}");
    assert!(text.contains("ARCHIVE_PREFIX: "), "{text}");
    assert!(error(&[("ARCHIVE_PREFIX", "production")]).contains("AWS_S3_BUCKET: "));
}
