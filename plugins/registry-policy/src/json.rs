//! JSON that borrows from its text and keeps the order of tables. Settings are parsed for every operation, so parsing must be fast.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Any JSON value.
#[derive(Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Truth(bool),
    Whole(u64),
    /// A negative number or a fraction, which no setting takes.
    Number,
    Text(Cow<'a, str>),
    List(Vec<Self>),
    Table(Vec<(Cow<'a, str>, Self)>),
}

impl Json<'_> {
    /// The type of the value with its article, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Truth(_) => "a boolean",
            Self::Whole(_) | Self::Number => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Json<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(Json::Truth(truth))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Json::Whole(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Json::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Json::Number)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut table = Vec::with_capacity(8);
        while let Some((Key(key), value)) = entries.next_entry()? {
            table.push((key, value));
        }
        Ok(Json::Table(table))
    }
}

/// A key that borrows: Serde's own implementation for [`Cow`] never does.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(AnyKey)
    }
}

struct AnyKey;

impl<'de> Visitor<'de> for AnyKey {
    type Value = Key<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Json<'_> {
        Json::Text(text.into())
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let json = r#"{"z": [null, true, 1, -1, 0.5, "a", "\n\u00e4"], "a": {}, "\"": 18446744073709551615}"#;
        let list = vec![
            Json::Null,
            Json::Truth(true),
            Json::Whole(1),
            Json::Number,
            Json::Number,
            text("a"),
            text("\nä"),
        ];
        let table = vec![
            ("z".into(), Json::List(list)),
            ("a".into(), Json::Table(Vec::new())),
            ("\"".into(), Json::Whole(u64::MAX)),
        ];
        assert_eq!(serde_json::from_str::<Json<'_>>(json).unwrap(), Json::Table(table));
    }

    #[test]
    fn plain_texts_are_borrowed() {
        let json: Json<'_> = serde_json::from_str(r#"{"key": "value"}"#).unwrap();
        let Json::Table(entries) = json else { panic!("no table") };
        assert!(matches!(entries.as_slice(), [(Cow::Borrowed("key"), Json::Text(Cow::Borrowed("value")))]));
    }

    #[test]
    fn what_is_nested_without_end_is_no_json() {
        assert!(serde_json::from_str::<Json<'_>>(&"[".repeat(100_000)).is_err());
    }
}
