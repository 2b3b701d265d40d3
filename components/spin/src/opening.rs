//! How a component comes to its database: it looks at it, makes or upgrades its tables, and refuses one that is not its own.
//!
//! What is in order costs two reads. All that is written is one transaction, so a database has one version at any time, whatever dies
//! meanwhile: a file of the next version cannot be read by a program of this one.

use std::time::Duration;

use countersign_core::store::StoreFault;
use countersign_ledger::schema;
use spin_sdk::sqlite::Connection;
use spin_sdk::time::sleep;

use crate::database::{Database, first, run, text};
use crate::scope::Scope;
use crate::upgrade;

/// The inbox's tables with their indexes and triggers; a blank line between statements. The tracker's follow.
const TABLES: [&str; 8] = [
    include_str!("schema/scope.sql"),
    include_str!("schema/inbox.sql"),
    include_str!("schema/claim.sql"),
    include_str!("schema/fallback.sql"),
    include_str!("schema/duplicate.sql"),
    include_str!("schema/quota.sql"),
    include_str!("schema/throttle.sql"),
    include_str!("schema/arrivals.sql"),
];
/// What makes tables of version 1 those of this version, each where its table is there: a first start may have ended between two.
const FROM_1: [(&str, &str); 3] = [
    ("inbox", include_str!("schema/from_1/inbox.sql")),
    ("claim", include_str!("schema/from_1/claim.sql")),
    ("fallback", include_str!("schema/from_1/fallback.sql")),
];

/// `PRAGMA user_version` of a database that has all of these tables.
const VERSION: i64 = 2;
/// `PRAGMA synchronous`: a commit is flushed before it is answered, in every journal mode.
const SYNCHRONOUS_FULL: i64 = 2;

/// How often a database whose lock is taken is looked at, each time for as long as the host lets SQLite wait.
const LOOKS_MAX: u32 = 10;
/// How often an instance tries to make the tables, and the pause between. Another one may be at it: half a second is enough for new
/// tables, and ten for an upgrade of some million events.
const TRIES_MAX: u32 = 200;
const PAUSE: Duration = Duration::from_millis(50);
/// While the tables are made nobody waits for the lock inside SQLite: each who does has a thread of the host's, of which the one that
/// has the lock needs one for its next statement (docs/decisions/0010).
const LOCK_WAIT: &str = "PRAGMA busy_timeout=3";

/// Why there is no database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// The database does not answer.
    Store(StoreFault),
    /// It answers, and does not flush what it commits.
    NotDurable,
    /// A newer program made it, or brought it up to date.
    Newer,
    /// It is that of another environment or name.
    OtherScope {
        /// Whose it is.
        theirs: Scope,
        /// Who asked.
        ours: Scope,
    },
}

impl NotOpened {
    /// For the operator's log: the problem, and what to do.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Store(StoreFault::Unavailable) => {
                "the database cannot be opened; check sqlite_databases in spin.toml, and the disk"
            }
            Self::Store(StoreFault::Contended) => {
                "the database is locked by another program; end its transaction"
            }
            Self::Store(StoreFault::Corrupt) => "the database file is damaged; restore it from a copy",
            Self::NotDurable => {
                "this SQLite commits without a flush; use a Spin whose SQLite has synchronous=FULL"
            }
            Self::Newer => {
                "a newer version of this application made the database; deploy that version, or restore a copy of before"
            }
            Self::OtherScope { .. } => {
                "the database belongs to another environment or name; the line of the start says to which, and what to do"
            }
        }
    }

    /// The line of the start.
    pub(crate) fn to_line(self) -> String {
        match self {
            Self::Store(_) | Self::NotDurable | Self::Newer => format!("no database: {}", self.as_str()),
            Self::OtherScope { theirs, ours } => format!(
                "no database: it belongs to {theirs}, and the document says {ours}; give each of them a database of its own \
                 (sqlite_databases in spin.toml), or write the database's environment and name into the document"
            ),
        }
    }

    /// Whether the next look would find the same.
    pub(crate) const fn lasts(self) -> bool {
        match self {
            Self::Store(_) => false,
            Self::NotDurable | Self::Newer | Self::OtherScope { .. } => true,
        }
    }
}

impl From<StoreFault> for NotOpened {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}

/// A database that was looked at. It flushes what it commits, and nothing newer made it.
#[derive(Debug)]
pub struct Found {
    database: Database,
    shape: Shape,
}

/// What is in a database.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// The tables of this version; whose they are, where anybody has said so.
    Made(Option<Scope>),
    /// Older ones, or none.
    ToMake,
}

impl Found {
    /// Looks at the database of that label. Nothing is written.
    ///
    /// # Errors
    /// [`NotOpened`], but for the scope.
    pub async fn at(label: &'static str) -> Result<Self, NotOpened> {
        let mut tries: u32 = 1;
        loop {
            match Self::look(label).await {
                // Of instances that start at once on a new file SQLite refuses some without a wait, while the journal's mode changes.
                Err(NotOpened::Store(StoreFault::Contended)) if tries < LOOKS_MAX => sleep(PAUSE).await,
                found => return found,
            }
            tries = tries.saturating_add(1);
        }
    }

    /// As [`at`](Self::at), without a second look.
    ///
    /// # Errors
    /// As [`at`](Self::at).
    pub(crate) async fn look(label: &'static str) -> Result<Self, NotOpened> {
        let database = Database::new(label);
        let connection = database.connect().await?;
        let shape = match version(&connection).await? {
            Version::This => Shape::Made(scope(&connection).await?),
            Version::Older => Shape::ToMake,
        };
        database.keep(connection);
        Ok(Self { database, shape })
    }

    /// The database, for that scope: with its tables made where they are missing, or upgraded. Whoever is first says whose it is.
    ///
    /// # Errors
    /// [`NotOpened`].
    pub(crate) async fn open_for(self, ours: &Scope) -> Result<Database, NotOpened> {
        let mut found = self;
        let mut tries: u32 = 1;
        loop {
            if found.is_open_to(ours)? {
                return Ok(found.database);
            }
            match make(found.database.label(), ours).await {
                Err(NotOpened::Store(StoreFault::Contended)) if tries < TRIES_MAX => sleep(PAUSE).await,
                made => made?,
            }
            tries = tries.saturating_add(1);
            found = Self::at(found.database.label()).await?;
        }
    }
}

impl Found {
    /// Whether it is made, and that scope's; `false`: nobody has made it, or said whose it is.
    fn is_open_to(&self, ours: &Scope) -> Result<bool, NotOpened> {
        match self.shape {
            Shape::Made(Some(theirs)) if theirs == *ours => Ok(true),
            Shape::Made(Some(theirs)) => Err(NotOpened::OtherScope { theirs, ours: *ours }),
            Shape::Made(None) | Shape::ToMake => Ok(false),
        }
    }

    /// The database, where it is made and that scope's already. Nothing is written.
    ///
    /// # Errors
    /// [`NotOpened::OtherScope`].
    pub(crate) fn open_to(self, ours: &Scope) -> Result<Option<Database>, NotOpened> {
        Ok(self.is_open_to(ours)?.then_some(self.database))
    }
}

/// The database of that label, for that scope.
///
/// # Errors
/// [`NotOpened`].
pub(crate) async fn open(label: &'static str, scope: &Scope) -> Result<Database, NotOpened> {
    Found::at(label).await?.open_for(scope).await
}

/// The versions that this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// An empty file, or one of version 1, which wrote no version.
    Older,
    /// [`VERSION`].
    This,
}

async fn version(connection: &Connection) -> Result<Version, NotOpened> {
    let sql = "SELECT synchronous, (SELECT user_version FROM pragma_user_version) FROM pragma_synchronous";
    let found = first(connection, sql, []).await?.ok_or(StoreFault::Corrupt)?;
    // The default of the host's SQLite, hence the same on every connection to come.
    if found.integer(0)? < SYNCHRONOUS_FULL {
        return Err(NotOpened::NotDurable);
    }
    match found.integer(1)? {
        0 => Ok(Version::Older),
        VERSION => Ok(Version::This),
        _ => Err(NotOpened::Newer),
    }
}

async fn scope(connection: &Connection) -> Result<Option<Scope>, StoreFault> {
    let sql = "SELECT CAST(environment AS BLOB), CAST(name AS BLOB) FROM scope";
    let Some(row) = first(connection, sql, []).await? else { return Ok(None) };
    Scope::of_stored(row.text(0)?, row.text(1)?).map(Some).ok_or(StoreFault::Corrupt)
}

/// Makes what is missing, in one transaction. Where that fails, the connection goes, and all that it wrote with it.
async fn make(label: &'static str, scope: &Scope) -> Result<(), NotOpened> {
    let connection = Database::new(label).connect().await?;
    run(&connection, LOCK_WAIT, []).await?;
    // It lasts. Where the file system cannot do it SQLite keeps its rollback journal, which is slower and no weaker.
    run(&connection, "PRAGMA journal_mode=WAL", []).await?;
    run(&connection, "BEGIN IMMEDIATE", []).await?;
    // Another one may have been first.
    let version = version(&connection).await?;
    if version != Version::This {
        for (table, statements) in FROM_1 {
            if has_table(&connection, table).await? {
                run_all(&connection, statements).await?;
            }
        }
        for statements in TABLES.iter().chain(&schema::MIGRATIONS) {
            run_all(&connection, statements).await?;
        }
        if has_table(&connection, "fallback_1").await? {
            upgrade::identities(&connection).await?;
            run(&connection, "DROP TABLE fallback_1", []).await?;
        }
        run(&connection, &format!("PRAGMA user_version={VERSION}"), []).await?;
    }
    let sql = "INSERT OR IGNORE INTO scope (id, environment, name) VALUES (1, ?1, ?2)";
    run(&connection, sql, [text(scope.environment()), text(scope.name())]).await?;
    run(&connection, "COMMIT", []).await?;
    Ok(())
}

async fn has_table(connection: &Connection, name: &str) -> Result<bool, StoreFault> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    Ok(first(connection, sql, [text(name)]).await?.is_some())
}

async fn run_all(connection: &Connection, statements: &str) -> Result<(), StoreFault> {
    for statement in statements.split("\n\n") {
        run(connection, statement, []).await?;
    }
    Ok(())
}
