//! `spin:sqlite@3.1` over real SQLite files, as Spin's in-process backend does it: every `open` is a connection of its own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use tokio::sync::{mpsc, oneshot};
use wasmtime::component::{Access, Accessor, FutureReader, HasSelf, Resource, StreamReader};

use super::bindings::sqlite::{self, Error, QueryResult, RowResult, Value};
use super::guest::Guest;
use super::stream::Received;
use crate::fault::{Fault, Faults};

/// Connections that one instance may hold open, as in Spin.
const CONNECTIONS_MAX: u32 = 256;
/// Bytes of one row (streamed) or of one whole result (`execute`), as in Spin.
const RESULT_BYTES_MAX: usize = 128 << 20;
/// Rows that wait for a slow reader.
const ROWS_BUFFERED: usize = 4;

/// A guest's connection. Like Spin's it opens the file with the first statement, and its statements run one at a time.
#[derive(Clone)]
pub struct Connection {
    file: PathBuf,
    opened: Arc<Mutex<Option<rusqlite::Connection>>>,
}

impl Connection {
    fn with<R>(&self, work: impl FnOnce(&rusqlite::Connection) -> Result<R, Error>) -> Result<R, Error> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match opened.take() {
            Some(connection) => connection,
            None => open(&self.file)?,
        };
        work(opened.insert(connection))
    }
}

fn open(file: &PathBuf) -> Result<rusqlite::Connection, Error> {
    let mut connection = rusqlite::Connection::open(file).map_err(io)?;
    connection
        .authorizer(Some(|context: AuthContext<'_>| match context.action {
            // A component reaches the databases that its manifest lists, and no other file.
            AuthAction::Attach { filename } if !matches!(filename, "" | ":memory:") => Authorization::Deny,
            _ => Authorization::Allow,
        }))
        .map_err(io)?;
    Ok(connection)
}

/// One statement with its parameters and the fault that a test planned for it.
struct Statement {
    text: String,
    parameters: Vec<Value>,
    fault: Option<Fault>,
    pages_max: Option<u32>,
}

/// The pages that a file may have where nothing bounds it: SQLite's own maximum.
const PAGES_MAX: u32 = u32::MAX - 1;

impl Statement {
    fn new(faults: &Faults, text: String, parameters: Vec<Value>) -> Self {
        Self { text, parameters, fault: faults.strike("sqlite.execute"), pages_max: faults.pages_max() }
    }

    /// Runs the statement while the file is bounded, where a test has that.
    fn run_bounded(
        self,
        connection: &rusqlite::Connection,
        columns: impl FnOnce(Vec<String>),
        row: impl FnMut(RowResult) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(pages_max) = self.pages_max else { return self.run(connection, columns, row) };
        let bound = |pages: u32| connection.pragma_update(None, "max_page_count", pages).map_err(io);
        bound(pages_max)?;
        let ran = self.run(connection, columns, row);
        bound(PAGES_MAX)?;
        ran
    }

    /// Runs the statement to its end; `columns` hears the column names first, `row` every row.
    fn run(
        self,
        connection: &rusqlite::Connection,
        columns: impl FnOnce(Vec<String>),
        mut row: impl FnMut(RowResult) -> Result<(), Error>,
    ) -> Result<(), Error> {
        match self.fault {
            Some(Fault::Error) => return Err(Error::Io("disk I/O error".to_owned())),
            Some(Fault::Conflict) => return Err(Error::Io("database is locked".to_owned())),
            Some(Fault::Garbage(_) | Fault::ErrorAfterEffect) | None => {}
        }
        let (mut cached, mut first);
        let statement: &mut rusqlite::Statement<'_> = match connection.prepare_cached(&self.text) {
            Ok(prepared) => {
                cached = prepared;
                &mut cached
            }
            // Spin runs the first statement of a text and never looks at the rest.
            Err(_) => {
                let prepared = rusqlite::Batch::new(connection, &self.text).next().map_err(io)?;
                first = prepared.ok_or_else(|| Error::Io("not an error".to_owned()))?;
                &mut first
            }
        };
        columns(statement.column_names().map(str::to_owned).collect());
        let width = statement.column_count();
        let parameters = self.parameters.into_iter().map(to_sqlite);
        let mut rows = statement.query(rusqlite::params_from_iter(parameters)).map_err(io)?;
        while let Some(found) = rows.next().map_err(io)? {
            let mut values = Vec::with_capacity(width);
            for column in 0..width {
                values.push(from_sqlite(found.get_ref(column).map_err(io)?)?);
            }
            match &self.fault {
                Some(Fault::ErrorAfterEffect) => {}
                Some(Fault::Garbage(bytes)) => {
                    row(RowResult { values: values.iter().map(|_| Value::Blob(bytes.clone())).collect() })?;
                }
                _ => row(RowResult { values })?,
            }
        }
        match self.fault {
            Some(Fault::ErrorAfterEffect) => Err(Error::Io("disk I/O error".to_owned())),
            _ => Ok(()),
        }
    }
}

fn io(error: rusqlite::Error) -> Error {
    Error::Io(error.to_string())
}

fn to_sqlite(value: Value) -> rusqlite::types::Value {
    match value {
        Value::Null => rusqlite::types::Value::Null,
        Value::Integer(number) => rusqlite::types::Value::Integer(number),
        Value::Real(number) => rusqlite::types::Value::Real(number),
        Value::Text(text) => rusqlite::types::Value::Text(text),
        Value::Blob(bytes) => rusqlite::types::Value::Blob(bytes),
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Result<Value, Error> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        // Spin's worker panics here, and the guest's future traps; an error says more and kills nobody.
        ValueRef::Text(text) => {
            Value::Text(String::from_utf8(text.to_vec()).map_err(|error| Error::Io(error.to_string()))?)
        }
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
    })
}

/// What a row costs of the limit.
fn size(row: &RowResult) -> usize {
    let bytes = row.values.iter().map(|value| {
        size_of::<Value>()
            + match value {
                Value::Text(text) => text.len(),
                Value::Blob(bytes) => bytes.len(),
                Value::Integer(_) | Value::Real(_) | Value::Null => 0,
            }
    });
    bytes.sum()
}

fn too_big() -> Error {
    Error::Io(format!("query result exceeds limit of {RESULT_BYTES_MAX} bytes"))
}

/// Runs blocking work off the async threads; a panic in it becomes an error of the guest's call.
async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, Error> + Send + 'static,
) -> Result<R, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Io(error.to_string()))?
}

impl Guest {
    fn open_database(&mut self, label: &str) -> Result<Resource<Connection>, Error> {
        let component = self.component();
        match component.shared.faults.strike("sqlite.open") {
            None => {}
            Some(Fault::Conflict) => return Err(Error::Io("database is locked".to_owned())),
            Some(Fault::Error | Fault::Garbage(_) | Fault::ErrorAfterEffect) => {
                return Err(Error::Io("unable to open database file".to_owned()));
            }
        }
        if !component.databases.contains(label) {
            return Err(Error::AccessDenied);
        }
        if self.connections == CONNECTIONS_MAX {
            return Err(Error::Io("too many connections opened".to_owned()));
        }
        let connection = Connection { file: component.shared.state.database(label), opened: Arc::default() };
        let resource = self.table.push(connection).map_err(|error| Error::Io(error.to_string()))?;
        self.connections += 1;
        Ok(resource)
    }

    fn connection(&self, resource: &Resource<Connection>) -> Result<Connection, Error> {
        self.table.get(resource).cloned().map_err(|_| Error::InvalidConnection)
    }
}

impl sqlite::Host for Guest {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<Error> {
        Ok(error)
    }
}

impl sqlite::HostConnection for Guest {
    async fn open(&mut self, database: String) -> Result<Resource<Connection>, Error> {
        self.open_database(&database)
    }

    async fn execute(
        &mut self,
        resource: Resource<Connection>,
        text: String,
        parameters: Vec<Value>,
    ) -> Result<QueryResult, Error> {
        let connection = self.connection(&resource)?;
        let statement = Statement::new(&self.component().shared.faults, text, parameters);
        blocking(move || {
            let mut result = QueryResult { columns: Vec::new(), rows: Vec::new() };
            let mut bytes = size_of::<QueryResult>();
            connection.with(|connection| {
                statement.run_bounded(
                    connection,
                    |columns| result.columns = columns,
                    |row| {
                        bytes = bytes.saturating_add(size(&row));
                        result.rows.push(row);
                        if bytes > RESULT_BYTES_MAX { Err(too_big()) } else { Ok(()) }
                    },
                )
            })?;
            Ok(result)
        })
        .await
    }

    async fn changes(&mut self, resource: Resource<Connection>) -> wasmtime::Result<u64> {
        let connection = self.connection(&resource)?;
        Ok(blocking(move || connection.with(|connection| Ok(connection.changes()))).await?)
    }

    async fn last_insert_rowid(&mut self, resource: Resource<Connection>) -> wasmtime::Result<i64> {
        let connection = self.connection(&resource)?;
        Ok(blocking(move || connection.with(|connection| Ok(connection.last_insert_rowid()))).await?)
    }

    async fn drop(&mut self, resource: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(resource)?;
        self.connections = self.connections.saturating_sub(1);
        Ok(())
    }
}

impl<T: Send> sqlite::HostConnectionWithStore<T> for HasSelf<Guest> {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        database: String,
    ) -> Result<Resource<Connection>, Error> {
        accessor.with(|mut access| access.get().open_database(&database))
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        resource: Resource<Connection>,
        text: String,
        parameters: Vec<Value>,
    ) -> Result<(Vec<String>, StreamReader<RowResult>, FutureReader<Result<(), Error>>), Error> {
        let (connection, statement) = accessor.with(|mut access| {
            let guest = access.get();
            let connection = guest.connection(&resource)?;
            Ok::<_, Error>((connection, Statement::new(&guest.component().shared.faults, text, parameters)))
        })?;
        let (columns_sender, columns) = oneshot::channel();
        let (rows_sender, rows) = mpsc::channel(ROWS_BUFFERED);
        let (end_sender, end) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let mut columns_sender = Some(columns_sender);
            let result = connection.with(|connection| {
                statement.run_bounded(
                    connection,
                    |columns| {
                        columns_sender.take().map(|sender| sender.send(columns));
                    },
                    |row| {
                        if size(&row) > RESULT_BYTES_MAX {
                            return Err(too_big());
                        }
                        rows_sender.blocking_send(row).map_err(|_| Error::Io("row send error".to_owned()))
                    },
                )
            });
            // A statement that failed before it had columns shows none; its error comes at the end, as in Spin.
            columns_sender.take().map(|sender| sender.send(Vec::new()));
            // Nobody is left to hear of it if the guest dropped the future.
            _ = end_sender.send(result);
        });
        let columns = columns.await.map_err(|error| Error::Io(error.to_string()))?;
        accessor.with(|mut access: Access<'_, T, Self>| {
            let rows = StreamReader::new(&mut access, Received(rows))
                .map_err(|error| Error::Io(error.to_string()))?;
            let end = FutureReader::new(&mut access, end).map_err(|error| Error::Io(error.to_string()))?;
            Ok((columns, rows, end))
        })
    }

    async fn changes_async(
        accessor: &Accessor<T, Self>,
        resource: Resource<Connection>,
    ) -> wasmtime::Result<u64> {
        let connection = accessor.with(|mut access| access.get().connection(&resource))?;
        Ok(blocking(move || connection.with(|connection| Ok(connection.changes()))).await?)
    }

    async fn last_insert_rowid_async(
        accessor: &Accessor<T, Self>,
        resource: Resource<Connection>,
    ) -> wasmtime::Result<i64> {
        let connection = accessor.with(|mut access| access.get().connection(&resource))?;
        Ok(blocking(move || connection.with(|connection| Ok(connection.last_insert_rowid()))).await?)
    }
}
