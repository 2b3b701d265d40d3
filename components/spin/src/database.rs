//! SQLite as Spin offers it: connections that are kept between requests, statements, and what is in a row.

use std::cell::RefCell;
use std::fmt;

use countersign_core::store::StoreFault;
use countersign_core::time::Timestamp;
use spin_sdk::sqlite::{Connection, Error, Value};

/// A database and its connections that are not in use.
///
/// Every statement is a transaction of its own. Requests meet at every `await`, so a connection belongs to one request at a time.
/// One on which anything failed is dropped and not kept.
pub(crate) struct Database {
    label: &'static str,
    idle: RefCell<Vec<Connection>>,
}

impl Database {
    /// The database of that label; nothing is opened yet.
    pub(crate) const fn new(label: &'static str) -> Self {
        Self { label, idle: RefCell::new(Vec::new()) }
    }

    /// Its label.
    pub(crate) const fn label(&self) -> &'static str {
        self.label
    }

    /// A connection for one request.
    pub(crate) async fn connect(&self) -> Result<Connection, StoreFault> {
        match self.kept() {
            Some(connection) => Ok(connection),
            None => Connection::open(self.label).await.map_err(fault),
        }
    }

    /// A connection that was kept.
    pub(crate) fn kept(&self) -> Option<Connection> {
        self.idle.borrow_mut().pop()
    }

    /// Keeps a connection for another request.
    pub(crate) fn keep(&self, connection: Connection) {
        self.idle.borrow_mut().push(connection);
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("label", &self.label).finish_non_exhaustive()
    }
}

/// Runs a statement to its end.
pub(crate) async fn run(
    connection: &Connection,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<(), StoreFault> {
    rows(connection, sql, values).await.map(|_rows| ())
}

/// The first row of an answer.
pub(crate) async fn first(
    connection: &Connection,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<Row>, StoreFault> {
    Ok(rows(connection, sql, values).await?.into_iter().next())
}

/// All rows of an answer.
pub(crate) async fn rows(
    connection: &Connection,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<Row>, StoreFault> {
    execute(connection, sql, values).await.map_err(fault)
}

/// Runs a statement that changes something, or fails as a whole by a rule of the schema: `false`, and nothing is changed.
pub(crate) async fn unless_ruled_out(
    connection: &Connection,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<bool, StoreFault> {
    match execute(connection, sql, values).await {
        Ok(_) => Ok(true),
        // The schema's own words (`RAISE`), or its keys.
        Err(Error::Io(text)) if text.contains("countersign: ") || text.contains("UNIQUE constraint") => {
            Ok(false)
        }
        Err(error) => Err(fault(error)),
    }
}

async fn execute(
    connection: &Connection,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Vec<Row>, Error> {
    let values: Vec<Value> = values.into_iter().collect();
    let rows = connection.execute(sql, values).await?.collect().await?;
    Ok(rows.into_iter().map(|row| Row(row.values)).collect())
}

/// What SQLite's texts say. A busy database is one that others hold; the host has waited for it already.
pub(crate) fn fault(error: Error) -> StoreFault {
    match error {
        Error::Io(text) if text.contains("locked") || text.contains("busy") => StoreFault::Contended,
        Error::Io(text) if text.contains("malformed") || text.contains("not a database") => {
            StoreFault::Corrupt
        }
        Error::Io(_)
        | Error::NoSuchDatabase
        | Error::AccessDenied
        | Error::InvalidConnection
        | Error::DatabaseFull => StoreFault::Unavailable,
    }
}

/// A row whose values are not trusted: whatever this program cannot have stored is [`StoreFault::Corrupt`].
pub(crate) struct Row(Vec<Value>);

impl Row {
    /// The values as they were read, to compare with when a garbled row is repaired: garbage that only the reading made must
    /// not cost what is stored.
    pub(crate) fn into_values(self) -> Vec<Value> {
        self.0
    }

    /// The integer of a column.
    pub(crate) fn integer(&self, column: usize) -> Result<i64, StoreFault> {
        match self.0.get(column) {
            Some(Value::Integer(value)) => Ok(*value),
            _ => Err(StoreFault::Corrupt),
        }
    }

    /// A number that is not negative.
    pub(crate) fn unsigned(&self, column: usize) -> Result<u64, StoreFault> {
        u64::try_from(self.integer(column)?).map_err(|_| StoreFault::Corrupt)
    }

    /// A number that is not negative, or nothing.
    pub(crate) fn optional_unsigned(&self, column: usize) -> Result<Option<u64>, StoreFault> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.unsigned(column).map(Some),
        }
    }

    /// An instant in milliseconds.
    pub(crate) fn instant(&self, column: usize) -> Result<Timestamp, StoreFault> {
        let ms = self.unsigned(column)?;
        if ms > Timestamp::MAX.as_ms() { Err(StoreFault::Corrupt) } else { Ok(Timestamp::from_ms(ms)) }
    }

    /// An integer, or nothing.
    pub(crate) fn optional_integer(&self, column: usize) -> Result<Option<i64>, StoreFault> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.integer(column).map(Some),
        }
    }

    /// An instant in milliseconds, or nothing.
    pub(crate) fn optional_instant(&self, column: usize) -> Result<Option<Timestamp>, StoreFault> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.instant(column).map(Some),
        }
    }

    /// Text that was selected as a blob, or nothing.
    pub(crate) fn optional_text(&self, column: usize) -> Result<Option<&str>, StoreFault> {
        match self.0.get(column) {
            Some(Value::Null) => Ok(None),
            _ => self.text(column).map(Some),
        }
    }

    /// A blob of exactly `N` bytes.
    pub(crate) fn bytes<const N: usize>(&self, column: usize) -> Result<[u8; N], StoreFault> {
        match self.0.get(column) {
            Some(Value::Blob(value)) => value.as_slice().try_into().map_err(|_| StoreFault::Corrupt),
            _ => Err(StoreFault::Corrupt),
        }
    }

    /// Text that was selected as a blob: text that is not UTF-8 would end the instance inside Spin.
    pub(crate) fn text(&self, column: usize) -> Result<&str, StoreFault> {
        match self.0.get(column) {
            Some(Value::Blob(value)) => std::str::from_utf8(value).map_err(|_| StoreFault::Corrupt),
            _ => Err(StoreFault::Corrupt),
        }
    }
}

pub(crate) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

pub(crate) fn blob(value: &[u8]) -> Value {
    Value::Blob(value.to_vec())
}

pub(crate) fn instant(value: Timestamp) -> Value {
    unsigned(value.as_ms())
}

/// SQLite has no unsigned integers. What is beyond 2⁶³ becomes the largest: never a negative number, which would be garbage.
pub(crate) fn unsigned(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}
