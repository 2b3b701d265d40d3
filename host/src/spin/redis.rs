//! `spin:redis@3` over the client that Spin uses, to the servers that `allowed_outbound_hosts` lists.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, Value};
use wasmtime::component::{Accessor, HasSelf, Resource};

use super::bindings::redis::{
    Error, Host, HostConnection, HostConnectionWithStore, RedisParameter, RedisResult,
};
use super::guest::Guest;
use super::strike::strike;

/// A guest's connection; as in Spin, commands of concurrent requests are pipelined on it.
pub type Connection = MultiplexedConnection;

/// Connections that one instance may hold open, as in Spin.
const CONNECTIONS_MAX: u32 = 256;

impl Host for Guest {
    fn convert_error(&mut self, error: Error) -> wasmtime::Result<Error> {
        Ok(error)
    }
}

impl HostConnection for Guest {
    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        self.redis_connections = self.redis_connections.saturating_sub(1);
        Ok(())
    }
}

fn other(error: RedisError) -> Error {
    Error::Other(error.to_string())
}

/// Sends one command; `call` names it in the plan of faults, and `garbage` makes its answer of a planned fault's bytes.
async fn send<T: Send, R: FromRedisValue>(
    accessor: &Accessor<T, HasSelf<Guest>>,
    connection: &Resource<Connection>,
    call: &str,
    command: Cmd,
    garbage: impl FnOnce(Vec<u8>) -> Option<R>,
) -> Result<R, Error> {
    let (mut connection, faults) = accessor.with(|mut access| {
        let guest = access.get();
        let connection = guest
            .table
            .get(connection)
            .map_err(|_| Error::Other("could not find connection for resource".to_owned()))?;
        Ok::<_, Error>((connection.clone(), guest.component().shared.faults.clone()))
    })?;
    let mut type_error = false;
    let work = async {
        let answered = command.query_async(&mut connection).await;
        answered.map_err(|error: RedisError| {
            type_error = error.kind() == ErrorKind::TypeError;
            error.to_string()
        })
    };
    let answered = strike(&faults, call, garbage).call(work).await;
    // Spin tells a wrong type apart in `sadd` alone.
    answered
        .map_err(|why| if type_error && call == "redis.sadd" { Error::TypeError } else { Error::Other(why) })
}

fn command(name: &str, arguments: &[impl redis::ToRedisArgs]) -> Cmd {
    let mut command = redis::cmd(name);
    for argument in arguments {
        command.arg(argument);
    }
    command
}

/// `name key argument…`
fn keyed(name: &str, key: &str, arguments: &[String]) -> Cmd {
    let mut command = command(name, &[key]);
    for argument in arguments {
        command.arg(argument);
    }
    command
}

impl<T: Send> HostConnectionWithStore<T> for HasSelf<Guest> {
    async fn open(accessor: &Accessor<T, Self>, address: String) -> Result<Resource<Connection>, Error> {
        let (faults, allowed) = accessor.with(|mut access| {
            let guest = access.get();
            (guest.component().shared.faults.clone(), guest.allowed_hosts())
        });
        if !allowed.allows_address(&address, "redis") {
            return Err(Error::InvalidAddress);
        }
        let client = redis::Client::open(address.as_str()).map_err(|_| Error::InvalidAddress)?;
        let work =
            async { client.get_multiplexed_async_connection().await.map_err(|error| error.to_string()) };
        let connection = strike(&faults, "redis.open", |_| None).call(work).await.map_err(Error::Other)?;
        accessor.with(|mut access| {
            let guest = access.get();
            if guest.redis_connections == CONNECTIONS_MAX {
                return Err(Error::TooManyConnections);
            }
            let resource = guest.table.push(connection).map_err(|_| Error::TooManyConnections)?;
            guest.redis_connections += 1;
            Ok(resource)
        })
    }

    async fn publish(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        channel: String,
        payload: Vec<u8>,
    ) -> Result<(), Error> {
        let command = command("PUBLISH", &[channel.as_bytes(), payload.as_slice()]);
        send(accessor, &connection, "redis.publish", command, |_| None).await
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        send(accessor, &connection, "redis.get", command("GET", &[key]), |bytes| Some(Some(bytes))).await
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        send(accessor, &connection, "redis.set", command("SET", &[key.as_bytes(), value.as_slice()]), |_| {
            None
        })
        .await
    }

    async fn incr(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<i64, Error> {
        let garbage = |bytes: Vec<u8>| Some(i64::from_le_bytes(bytes.try_into().ok()?));
        send(accessor, &connection, "redis.incr", command("INCRBY", &[key.as_str(), "1"]), garbage).await
    }

    async fn del(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        keys: Vec<String>,
    ) -> Result<u32, Error> {
        send(accessor, &connection, "redis.del", command("DEL", &keys), |_| None).await
    }

    async fn sadd(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        send(accessor, &connection, "redis.sadd", keyed("SADD", &key, &values), |_| None).await
    }

    async fn smembers(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
    ) -> Result<Vec<String>, Error> {
        let garbage = |bytes: Vec<u8>| Some(vec![String::from_utf8_lossy(&bytes).into_owned()]);
        send(accessor, &connection, "redis.smembers", command("SMEMBERS", &[key]), garbage).await
    }

    async fn srem(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        key: String,
        values: Vec<String>,
    ) -> Result<u32, Error> {
        send(accessor, &connection, "redis.srem", keyed("SREM", &key, &values), |_| None).await
    }

    async fn execute(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        name: String,
        arguments: Vec<RedisParameter>,
    ) -> Result<Vec<RedisResult>, Error> {
        let mut command = redis::cmd(&name);
        for argument in arguments {
            match argument {
                RedisParameter::Int64(number) => command.arg(number),
                RedisParameter::Binary(bytes) => command.arg(bytes),
            };
        }
        let garbage = |bytes| Some(Value::BulkString(bytes));
        let value: Value = send(accessor, &connection, "redis.execute", command, garbage).await?;
        let mut results = Vec::new();
        flatten(value, &mut results).map_err(other)?;
        Ok(results)
    }
}

/// Spin flattens nested answers into one list.
fn flatten(value: Value, results: &mut Vec<RedisResult>) -> Result<(), RedisError> {
    match value {
        Value::Nil => results.push(RedisResult::Nil),
        Value::Int(number) => results.push(RedisResult::Int64(number)),
        Value::Boolean(truth) => results.push(RedisResult::Int64(i64::from(truth))),
        Value::BulkString(bytes) => results.push(RedisResult::Binary(bytes)),
        Value::Double(number) => results.push(RedisResult::Binary(number.to_string().into_bytes())),
        Value::SimpleString(text) => results.push(RedisResult::Status(text)),
        Value::Okay => results.push(RedisResult::Status("OK".to_owned())),
        Value::Array(values) | Value::Set(values) => {
            for value in values {
                flatten(value, results)?;
            }
        }
        Value::ServerError(error) => return Err(error.into()),
        _ => return Err((ErrorKind::TypeError, "the answer's type is not supported").into()),
    }
    Ok(())
}
