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

/// SQL that finds the dead letters that a reversed chargeback has made room for: what took back too much (`?1` is the cause) of a deposit of
/// which a chargeback was reversed (`?2` is the type) since the letter died.
pub const MADE_ROOM: &str = "SELECT dead_letter.inbox_id FROM dead_letter JOIN inbox ON inbox.id = dead_letter.inbox_id \
     JOIN entry AS deposit ON deposit.partner = inbox.partner \
     AND deposit.event_id = CASE WHEN json_valid(inbox.payload) THEN inbox.payload ->> 'original_event_id' END \
     WHERE dead_letter.reason = ?1 AND dead_letter.discarded_at IS NULL \
     AND EXISTS (SELECT 1 FROM entry AS chargeback JOIN entry AS reversal ON reversal.original = chargeback.id \
       WHERE chargeback.original = deposit.id AND reversal.event = ?2 AND reversal.posted_at >= dead_letter.died_at) \
     ORDER BY dead_letter.inbox_id LIMIT 256";
