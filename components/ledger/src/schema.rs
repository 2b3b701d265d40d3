//! The SQL text of the tracker's tables, as numbered migrations. Whoever makes the database, or upgrades it, carries out all of them,
//! in order: every statement may be carried out again.

/// The migrations; a blank line between statements. They come after the inbox's own tables.
pub const MIGRATIONS: [&str; 8] = [
    include_str!("migrations/0001_queue.sql"),
    include_str!("migrations/0002_click.sql"),
    include_str!("migrations/0003_ledger.sql"),
    include_str!("migrations/0004_rejection.sql"),
    include_str!("migrations/0005_erasure.sql"),
    include_str!("migrations/0006_redecision.sql"),
    include_str!("migrations/0007_ledger_retention.sql"),
    include_str!("migrations/0008_duplicate.sql"),
];
