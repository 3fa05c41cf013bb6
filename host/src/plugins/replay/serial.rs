//! Typed values of the contract as JSON, with the names of `wit/`: what [`super::values`] reads.
//!
//! The bindings are Rust, so their names are too; this turns `request_sent` and `ErrorKind::TooLarge`
//! back into `request-sent` and `too-large`.

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::{Map, Value, json};

use super::values::bytes_to_json;

type Failure = serde_json::Error;

/// # Errors
/// A shape that no type of the contract has.
pub(super) fn to_json(value: &(impl Serialize + ?Sized)) -> Result<Value, Failure> {
    value.serialize(Json)
}

/// `TooLarge` and `hmac_sha256` as WIT writes them.
pub(super) fn kebab(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        match character {
            '_' => text.push('-'),
            upper if upper.is_ascii_uppercase() => {
                if !text.is_empty() {
                    text.push('-');
                }
                text.push(upper.to_ascii_lowercase());
            }
            other => text.push(other),
        }
    }
    text
}

struct Json;

macro_rules! plain {
    ($($method:ident $type:ty),*) => {$(
        fn $method(self, value: $type) -> Result<Value, Failure> { Ok(json!(value)) }
    )*};
}

impl Serializer for Json {
    type Ok = Value;
    type Error = Failure;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = List;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    plain!(
        serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64,
        serialize_u8 u8, serialize_u16 u16, serialize_u32 u32, serialize_u64 u64,
        serialize_f32 f32, serialize_f64 f64, serialize_char char, serialize_str &str
    );

    fn serialize_bytes(self, value: &[u8]) -> Result<Value, Failure> {
        Ok(bytes_to_json(value))
    }

    fn serialize_none(self) -> Result<Value, Failure> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, Failure> {
        to_json(value)
    }

    fn serialize_unit(self) -> Result<Value, Failure> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, Failure> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, Failure> {
        Ok(json!(kebab(variant)))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Value, Failure> {
        to_json(value)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, Failure> {
        Ok(json!({ kebab(variant): to_json(value)? }))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List, Failure> {
        Ok(List { values: Vec::new(), is_list: true })
    }

    fn serialize_tuple(self, _: usize) -> Result<List, Failure> {
        Ok(List { values: Vec::new(), is_list: false })
    }

    fn serialize_tuple_struct(self, _: &'static str, length: usize) -> Result<List, Failure> {
        self.serialize_tuple(length)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List, Failure> {
        Err(Failure::custom(format!("{variant}: the contract has no cases with several values")))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields, Failure> {
        Err(Failure::custom("the contract has no maps"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, Failure> {
        Ok(Fields(Map::new()))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields, Failure> {
        Err(Failure::custom(format!("{variant}: the contract has no cases with fields")))
    }
}

struct List {
    values: Vec<Value>,
    /// Only a list can be bytes; a tuple of numbers stays one.
    is_list: bool,
}

impl List {
    fn push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> {
        self.values.push(to_json(value)?);
        Ok(())
    }

    /// The only lists of numbers in the contract are bytes.
    fn finish(self) -> Result<Value, Failure> {
        let byte = |value: &Value| value.as_u64().and_then(|number| u8::try_from(number).ok());
        let bytes: Option<Vec<u8>> = self.values.iter().map(byte).collect();
        match bytes {
            Some(bytes) if self.is_list && !bytes.is_empty() => Ok(bytes_to_json(&bytes)),
            _ => Ok(Value::Array(self.values)),
        }
    }
}

macro_rules! list {
    ($($trait:ident $method:ident),*) => {$(
        impl $trait for List {
            type Ok = Value;
            type Error = Failure;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Failure> { self.push(value) }
            fn end(self) -> Result<Value, Failure> { self.finish() }
        }
    )*};
}

list!(
    SerializeSeq serialize_element, SerializeTuple serialize_element, SerializeTupleStruct serialize_field,
    SerializeTupleVariant serialize_field
);

struct Fields(Map<String, Value>);

macro_rules! fields {
    ($($trait:ident),*) => {$(
        impl $trait for Fields {
            type Ok = Value;
            type Error = Failure;
            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Failure> {
                self.0.insert(kebab(name), to_json(value)?);
                Ok(())
            }
            fn end(self) -> Result<Value, Failure> { Ok(Value::Object(self.0)) }
        }
    )*};
}

fields!(SerializeStruct, SerializeStructVariant);

impl SerializeMap for Fields {
    type Ok = Value;
    type Error = Failure;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Failure> {
        Err(Failure::custom("the contract has no maps"))
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, _: &T) -> Result<(), Failure> {
        Err(Failure::custom("the contract has no maps"))
    }

    fn end(self) -> Result<Value, Failure> {
        Ok(Value::Object(self.0))
    }
}

#[cfg(test)]
mod tests {
    use mercury_bindings::mercury::plugin::{
        http::{Error, ErrorKind},
        types::{Content, ConversationKind, Media, MediaKind},
    };

    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        let error = Error { kind: ErrorKind::TooLarge(9), message: "big".into(), request_sent: true };
        let media = Media {
            handle: "h".into(),
            kind: MediaKind::Voice,
            mime_type: "audio/ogg".into(),
            file_name: None,
            size_bytes: 3,
        };
        let values: (Result<(), Error>, Option<Media>, ConversationKind, Vec<Content>, ErrorKind) = (
            Err(error),
            Some(media),
            ConversationKind::Direct,
            vec![Content::Bytes(vec![104, 105]), Content::Bytes(vec![255])],
            ErrorKind::Timeout,
        );
        assert_eq!(
            to_json(&values).unwrap(),
            json!([
                { "err": { "kind": { "too-large": 9 }, "message": "big", "request-sent": true } },
                { "handle": "h", "kind": "voice", "mime-type": "audio/ogg", "file-name": null, "size-bytes": 3 },
                "direct",
                [{ "bytes": "hi" }, { "bytes": { "base64": "/w==" } }],
                "timeout",
            ])
        );
    }

    #[test]
    fn kebab_case_keeps_digits_with_their_word() {
        for (name, expected) in [("hmac_sha256", "hmac-sha256"), ("Ed25519", "ed25519"), ("RetryAfter", "retry-after")]
        {
            assert_eq!(kebab(name), expected);
        }
    }
}
