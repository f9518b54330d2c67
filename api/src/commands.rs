//! The command line: what can be asked of the binary, and with which number it ends.
//!
//! Exit codes: 0 done, 1 failed, 2 a setting or argument is wrong (nothing was opened). What a command is
//! asked for goes to standard output, everything else to standard error.
//!
//! Commands beside a running server join its private database instead of starting a second one.

mod password;
mod progress;

use crate::admin_account::{self, Created};
use crate::config::{self, Config};
use crate::database::{Database, Ownership};
use crate::secrets::{self, SecretsFolder};
use crate::{migrate, seed, shared_log, telemetry};
use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use gonggumoa_core::ids::RunId;
use secrecy::ExposeSecret;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use uuid::Uuid;

/// Enough for one command.
const CONNECTIONS_MAX: u32 = 4;
const EXIT_FAILED: u8 = 1;
const EXIT_CONFIG: u8 = 2;

/// 공구모아: lists group buys, and counts every click on them once.
#[derive(Debug, Parser)]
#[command(
    name = "gonggumoa",
    version,
    about,
    after_help = "Settings are environment variables; see .env.example."
)]
pub struct Cli {
    /// What to do; `serve` when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve everything (the default)
    Serve,
    /// Bring the database's schema to this version and end
    Migrate,
    /// Make an admin account
    CreateAdmin {
        /// Its e-mail address
        #[arg(long)]
        email: String,
        /// Read the password from the first line of standard input instead of asking for it
        #[arg(long)]
        password_stdin: bool,
    },
    /// Fill in demo data; again changes nothing
    Seed {
        /// Also make a catalog as large as a busy one, for plans and load runs
        #[arg(long)]
        scale: bool,
        /// How large
        #[command(flatten)]
        sizes: seed::ScaleSizes,
        /// Also send demo clicks to the running server
        #[arg(long)]
        clicks: bool,
    },
    /// Look after the click journal
    Journal {
        /// What to do with it
        #[command(subcommand)]
        command: JournalCommand,
    },
}

/// The journal's commands.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Check every record of every segment; changes nothing
    Verify {
        /// The journal's folder [default: DATA_DIR/journal]
        dir: Option<PathBuf>,
    },
    /// Say that a run is over for good, so that an edge which will not come back no longer holds figures back
    Retire {
        /// The run, as the edge named it when its journal was opened
        run: Uuid,
    },
}

/// What the composition root does; everything else is done here.
#[derive(Clone, Copy, Debug)]
pub struct Root {
    /// Serves until the process is told to stop.
    pub serve: fn(Config) -> anyhow::Result<()>,
    /// Checks a journal: what to show, and whether it is sound.
    pub verify_journal: fn(&Path) -> anyhow::Result<(String, bool)>,
}

/// The whole program, from arguments to exit code.
pub fn run(root: Root) -> ExitCode {
    let cli = Cli::parse();
    let config = match Config::from_environment() {
        Ok(config) => config,
        Err(error) => {
            // Standard error may be closed; the exit code says it too.
            let _ = writeln!(io::stderr(), "gonggumoa: {error}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    telemetry::start_logging(&config.log);
    match dispatch(cli.command.unwrap_or(Command::Serve), config, root) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "gonggumoa: {error:#}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn dispatch(command: Command, config: Config, root: Root) -> anyhow::Result<()> {
    match command {
        Command::Serve => (root.serve)(config),
        Command::Migrate => with_database(&config, async |_, _| print("데이터베이스가 최신 상태입니다\n")),
        Command::CreateAdmin { email, password_stdin } => create_admin(&config, &email, password_stdin),
        Command::Seed { scale, sizes, clicks } => seed(&config, scale.then_some(sizes), clicks),
        Command::Journal { command: JournalCommand::Verify { dir } } => {
            let dir = dir.unwrap_or_else(|| config.data_dir.join("journal"));
            let (text, is_sound) = (root.verify_journal)(&dir)?;
            print(&text)?;
            if is_sound { Ok(()) } else { bail!("the journal in {} is not sound", dir.display()) }
        }
        Command::Journal { command: JournalCommand::Retire { run } } => retire(&config, run),
    }
}

/// Opens the database, migrates it, does the work and closes it again, interrupted or not.
fn with_database(
    config: &Config,
    work: impl AsyncFnOnce(&sqlx::PgPool, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let data_dir = secrets::prepare_data_dir(&config.data_dir)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start the async runtime")?;
    runtime.block_on(async {
        let database = Database::open(config, &data_dir, Ownership::OwnOrJoin).await?;
        let pool = database.pool(CONNECTIONS_MAX);
        let whole = async {
            migrate::run(&database.options()).await?;
            work(&pool, &data_dir).await
        };
        let result = tokio::select! {
            result = whole => result,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        pool.close().await;
        let stopped = database.stop().await;
        result?;
        Ok(stopped?)
    })
}

fn create_admin(config: &Config, email: &str, password_stdin: bool) -> anyhow::Result<()> {
    let email = config::check_email(email).map_err(|problem| anyhow::anyhow!("{email:?} {problem}"))?;
    let password = if password_stdin { password::from_stdin()? } else { password::ask()? };
    config::check_password(password.expose_secret())
        .map_err(|problem| anyhow::anyhow!("the password {problem}"))?;
    with_database(config, async |pool, _| match admin_account::create(pool, &email, &password).await? {
        Created::New => print(&format!("관리자 계정을 만들었습니다: {email}\n")),
        Created::WasAdmin => bail!("{email} is an admin already; the password was not changed"),
        Created::Taken => bail!("{email} belongs to an account that is not an admin"),
    })
}

/// What the edge sent before it died stays judged; what only its own disk holds must come back before this.
fn retire(config: &Config, run: Uuid) -> anyhow::Result<()> {
    with_database(config, async |pool, _| {
        print(&match shared_log::retire(pool, RunId(run)).await? {
            true => format!("실행 {run}을(를) 종료된 것으로 기록했습니다\n"),
            false => format!("실행 {run}은(는) 이미 종료된 것으로 기록되어 있습니다\n"),
        })
    })
}

fn seed(config: &Config, scale: Option<seed::ScaleSizes>, clicks: bool) -> anyhow::Result<()> {
    with_database(config, async |pool, data_dir| {
        let folder = SecretsFolder::open(data_dir)?;
        let bar = progress::bar(seed::steps(), "데모 데이터");
        let report = seed::sow(pool, &folder, &bar).await?;
        bar.finish_and_clear();
        print(&summary(config, &report))?;
        if let Some(sizes) = scale {
            let progress = progress::OfScale::new(sizes.rows());
            let added = seed::sow_scale(pool, sizes, &report.accounts, &|step| progress.tell(step)).await?;
            progress.finish();
            print(&match added {
                0 => "\n규모 데이터는 이미 모두 있습니다\n".to_owned(),
                added => format!("\n규모 데이터 {added}건을 추가했습니다\n"),
            })?;
        }
        if clicks {
            let bar = progress::bar(0, "데모 클릭");
            let address = config.http.address();
            let sent = seed::send_clicks(address, &report.accounts, &report.gonggus, &bar).await?;
            bar.finish_and_clear();
            print(&format!("\n데모 클릭 {sent}건을 기록했습니다\n"))?;
        }
        Ok(())
    })
}

fn summary(config: &Config, report: &seed::SeedReport) -> String {
    let mut text = "데모 계정 (비밀번호는 DATA_DIR/secrets/demo.json에 있습니다)\n".to_owned();
    for account in &report.accounts {
        let line =
            format!("  {:<10} {:<38} {}\n", account.role, account.email, account.password.expose_secret());
        text.push_str(&line);
    }
    text.push_str("\n데모 공구\n");
    for gonggu in &report.gonggus {
        let address = config.http.shown_address();
        text.push_str(&format!("  {:<9} {address}/go/{}  {}\n", gonggu.status, gonggu.id, gonggu.title));
    }
    text
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `gonggumoa seed | head`: the reader has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent_and_serves_by_default() {
        Cli::command().debug_assert();
        assert!(Cli::parse_from(["gonggumoa"]).command.is_none());
        let cli = Cli::parse_from(["gonggumoa", "seed", "--scale", "--gonggus", "500", "--clicks"]);
        let Some(Command::Seed { scale: true, sizes, clicks: true }) = cli.command else { panic!() };
        assert_eq!((sizes.gonggus, sizes.bookmarks), (500, 1_000_000));
        assert!(Cli::try_parse_from(["gonggumoa", "seed", "--gonggus", "500"]).is_err());
        assert!(Cli::try_parse_from(["gonggumoa", "create-admin"]).is_err());
        let cli = Cli::parse_from(["gonggumoa", "journal", "verify", "/var/j"]);
        let Some(Command::Journal { command: JournalCommand::Verify { dir } }) = cli.command else {
            panic!()
        };
        assert_eq!(dir, Some(PathBuf::from("/var/j")));
    }
}
