//! The rows of the table: what Envoy is given, and which service stands beside it.

/// What the upstream's answer has in it.
pub(crate) const UPSTREAM_BODY: &str = r#"{"upstream":"ok"}"#;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    NoFilter,
    Lua,
    ExtAuthzHttp,
    ExtAuthzGrpc,
    Hold,
    ExtAuthzNative,
    NativeProxy,
    Countersign,
}

/// A service that runs beside Envoy, in a process of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// Allows every request over HTTP, and does no work.
    IdleHttp,
    /// Allows every request over gRPC, and does no work.
    IdleGrpc,
    /// The gate behind `ext_authz`.
    Authz,
    /// The gate as a reverse proxy.
    Proxy,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] = [
        Self::NoFilter,
        Self::Lua,
        Self::ExtAuthzHttp,
        Self::ExtAuthzGrpc,
        Self::Hold,
        Self::ExtAuthzNative,
        Self::NativeProxy,
        Self::Countersign,
    ];

    /// As `--only` takes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NoFilter => "none",
            Self::Lua => "lua",
            Self::ExtAuthzHttp => "ext_authz_http",
            Self::ExtAuthzGrpc => "ext_authz_grpc",
            Self::Hold => "hold",
            Self::ExtAuthzNative => "ext_authz_native",
            Self::NativeProxy => "native_proxy",
            Self::Countersign => "countersign",
        }
    }

    /// As the table has it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::NoFilter => "no filter",
            Self::Lua => "Lua that reads the body",
            Self::ExtAuthzHttp => "ext_authz, HTTP, body, idle service",
            Self::ExtAuthzGrpc => "ext_authz, gRPC, body, idle service",
            Self::Hold => "wasm that holds headers, copies the body",
            Self::ExtAuthzNative => "ext_authz, gRPC, this core in a service",
            Self::NativeProxy => "this core in a proxy, one more hop",
            Self::Countersign => "Countersign",
        }
    }

    /// What the body of every answer has in it.
    pub(crate) const fn expected(self) -> &'static str {
        match self {
            Self::NoFilter
            | Self::Lua
            | Self::ExtAuthzHttp
            | Self::ExtAuthzGrpc
            | Self::Hold
            | Self::ExtAuthzNative => UPSTREAM_BODY,
            Self::NativeProxy | Self::Countersign => r#""idempotent":false"#,
        }
    }

    /// The service beside Envoy; `None` where Envoy is alone.
    pub(crate) const fn service(self) -> Option<Service> {
        match self {
            Self::NoFilter | Self::Lua | Self::Hold | Self::Countersign => None,
            Self::ExtAuthzHttp => Some(Service::IdleHttp),
            Self::ExtAuthzGrpc => Some(Service::IdleGrpc),
            Self::ExtAuthzNative => Some(Service::Authz),
            Self::NativeProxy => Some(Service::Proxy),
        }
    }
}

impl Service {
    pub(crate) const ALL: [Self; 4] = [Self::IdleHttp, Self::IdleGrpc, Self::Authz, Self::Proxy];

    /// As the program's own command line takes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::IdleHttp => "idle_http",
            Self::IdleGrpc => "idle_grpc",
            Self::Authz => "authz",
            Self::Proxy => "proxy",
        }
    }
}
