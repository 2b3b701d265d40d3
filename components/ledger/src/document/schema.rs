//! The JSON Schema of the whole document: the gate's, with the tracker's parts put in their places.

use alloc::string::String;

use serde_json::{Map, Value};

use super::LedgerConfiguration;

/// The JSON Schema of the document, as `schemas/countersign.schema.json` has it.
///
/// # Errors
/// None that can happen: a schema is JSON.
pub fn schema() -> Result<String, serde_json::Error> {
    let mut whole: Value = serde_json::from_str(&countersign_core::document::schema()?)?;
    let mut tracker = serde_json::to_value(schemars::schema_for!(LedgerConfiguration))?;
    let mut definitions = object(tracker.get_mut("$defs"));
    let partner = definitions.remove("Partner").unwrap_or_default();
    fill(&mut whole, &object(tracker.get_mut("properties")));
    if let Some(known) = whole.get_mut("$defs").and_then(Value::as_object_mut) {
        if let Some(known) = known.get_mut("Partner") {
            fill(known, &object(partner.clone().get_mut("properties")));
        }
        for (name, definition) in definitions {
            known.entry(name).or_insert(definition);
        }
    }
    let mut text = serde_json::to_string_pretty(&whole)?;
    text.push('\n');
    Ok(text)
}

fn object(value: Option<&mut Value>) -> Map<String, Value> {
    value.and_then(Value::as_object_mut).map(core::mem::take).unwrap_or_default()
}

/// Puts `properties` in the place of those that the gate's reader passes by. What both read, the gate's says more about.
fn fill(schema: &mut Value, properties: &Map<String, Value>) {
    let Some(known) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, property) in known {
        let is_unread = property.get("type").is_none()
            && property.get("$ref").is_none()
            && property.get("anyOf").is_none();
        if let Some(property_read) = properties.get(name).filter(|_| is_unread) {
            *property = property_read.clone();
        }
    }
}
