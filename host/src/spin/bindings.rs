//! What `wit/spin.wit` generates: one trait per interface, implemented in the sibling modules on [`super::guest::Guest`].

mod generated {
    wasmtime::component::bindgen!({
        path: "wit/spin.wit",
        world: "countersign:host/spin-imports",
        imports: { default: async | trappable },
        with: {
            "spin:key-value/key-value.store": crate::spin::key_value_file::Store,
            "spin:redis/redis.connection": crate::spin::redis::Connection,
            "spin:sqlite/sqlite.connection": crate::spin::sqlite::Connection,
            "wasi:keyvalue/store.bucket": crate::spin::key_value_file::Store,
            "wasi:keyvalue/atomics.cas": crate::spin::wasi_keyvalue::Swap,
        },
        trappable_error_type: {
            "spin:key-value/key-value.error" => self::spin::key_value::key_value::Error,
            "spin:redis/redis.error" => self::spin::redis::redis::Error,
            "spin:sqlite/sqlite.error" => self::spin::sqlite::sqlite::Error,
            "spin:variables/variables.error" => self::spin::variables::variables::Error,
            "wasi:keyvalue/store.error" => self::wasi::keyvalue::store::Error,
            "wasi:keyvalue/atomics.cas-error" => self::wasi::keyvalue::atomics::CasError,
        },
    });
}

pub(super) use self::generated::spin::key_value::key_value;
pub(super) use self::generated::spin::redis::redis;
pub(super) use self::generated::spin::sqlite::sqlite;
pub(super) use self::generated::spin::variables::variables;
pub(super) use self::generated::wasi::keyvalue;
