//! Turns `lib/boundary.json` into Rust for `src/driver/boundary.rs`, and sets the linker's options for an addon.
//! `proto` alone needs neither.

fn main() {
    #[cfg(feature = "driver")]
    boundary::write();
    #[cfg(feature = "binding")]
    {
        napi_build::setup();
        // The runtime's thread outlives every thread of JavaScript. If the library were unmapped under it, the process
        // would crash.
        if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
    }
}

/// The table of what crosses the boundary, and the Rust that build.rs makes of it.
#[cfg(feature = "driver")]
mod boundary {
    use serde::Deserialize;
    use std::path::Path;

    const TABLE: &str = "lib/boundary.json";

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Table {
        sizes: Vec<Constant>,
        words: Vec<Constant>,
        commands: Vec<Command>,
        records: Vec<Record>,
        summary: Vec<Name>,
        carried: Vec<Name>,
        wires: Vec<Name>,
        peers: Vec<Name>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Constant {
        name: String,
        value: u32,
        doc: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Name {
        name: String,
        doc: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Command {
        number: u8,
        name: String,
        stream: Option<Stream>,
        argument: Option<String>,
        payload: Option<Payload>,
        #[serde(default)]
        overtakes: bool,
        #[serde(default)]
        acknowledges: bool,
        doc: String,
    }

    /// A record. Only the numbers of records become Rust: the driver puts records together by hand.
    #[derive(Deserialize)]
    struct Record {
        number: u8,
        name: String,
        doc: String,
    }

    #[derive(Deserialize)]
    enum Stream {
        #[serde(rename = "one")]
        One,
        #[serde(rename = "one or all")]
        OneOrAll,
    }

    #[derive(Deserialize)]
    enum Payload {
        #[serde(rename = "bytes")]
        Bytes,
        #[serde(rename = "json")]
        Json,
        #[serde(rename = "code")]
        Code,
        #[serde(rename = "code and text")]
        CodeAndText,
    }

    impl Command {
        /// The name of the command's variant: `EndValue` for `END_VALUE`.
        fn variant(&self) -> String {
            let words = self.name.split('_');
            words
                .map(|word| word[..1].to_owned() + &word[1..].to_lowercase())
                .collect()
        }

        /// The fields of the variant: for each, its type and the expression that decodes it.
        fn fields(&self) -> Vec<(&str, &str)> {
            assert!(
                self.argument.is_none() || self.payload.is_none(),
                "{}: the third word of a command is a number or a payload's length",
                self.name
            );
            let mut fields = Vec::new();
            fields.extend(self.stream.as_ref().map(|stream| match stream {
                Stream::One => ("Handle", "stream"),
                Stream::OneOrAll => ("Option<Handle>", "one_or_all(stream)"),
            }));
            fields.extend(self.argument.as_ref().map(|_| ("u32", "argument")));
            match self.payload {
                Some(Payload::Bytes | Payload::Json) => fields.push(("&'a [u8]", "payload")),
                Some(Payload::Code) => fields.push(("u64", "code(payload)?.0")),
                Some(Payload::CodeAndText) => fields.extend([
                    ("u64", "code(payload)?.0"),
                    ("&'a str", "text(code(payload)?.1)"),
                ]),
                None => {}
            }
            fields
        }

        /// The variant with `values` for its fields: a declaration, a pattern or an expression.
        fn with(&self, values: impl Fn(&(&str, &str)) -> String) -> String {
            let values: Vec<_> = self.fields().iter().map(values).collect();
            match values.is_empty() {
                true => self.variant(),
                false => format!("{}({})", self.variant(), values.join(", ")),
            }
        }
    }

    pub fn write() {
        println!("cargo:rerun-if-changed={TABLE}");
        println!("cargo:rerun-if-changed=build.rs");
        let table = std::fs::read(TABLE).expect("the package holds lib/boundary.json");
        let table: Table =
            serde_json::from_slice(&table).unwrap_or_else(|error| panic!("{TABLE}: {error}"));
        let parts = [
            format!("// Made of {TABLE} by build.rs.\n"),
            constants("usize", &table.sizes),
            constants("u32", &table.words),
            numbers(&table),
            summary(&table.summary),
            command(&table.commands),
            decoder(&table.commands),
        ];
        let folder = std::env::var_os("OUT_DIR").expect("cargo says where");
        let file = Path::new(&folder).join("boundary.rs");
        std::fs::write(file, parts.join("\n")).expect("the folder is ours");
    }

    /// The lines for all of `rows`, one after the other.
    fn each<T>(rows: &[T], line: impl Fn(&T) -> String) -> String {
        rows.iter().map(line).collect()
    }

    fn constants(kind: &str, rows: &[Constant]) -> String {
        each(rows, |Constant { name, value, doc }| {
            format!("/// {doc}\npub const {name}: {kind} = {value};\n")
        })
    }

    /// The modules of constants: commands, records, carriers, wires and peers.
    fn numbers(table: &Table) -> String {
        let module = |doc: &str, name: &str, rows: Vec<(&str, u32, &str)>| {
            let rows = each(&rows, |(name, value, doc)| {
                format!("    /// {doc}\n    pub const {name}: u32 = {value};\n")
            });
            format!("/// {doc}\npub mod {name} {{\n{rows}}}\n")
        };
        let commands = table.commands.iter();
        let records = table.records.iter();
        let carried = table.carried.iter().enumerate();
        let wires = table.wires.iter().enumerate();
        let peers = table.peers.iter().enumerate();
        [
            module(
                "The numbers of the commands.",
                "op",
                commands
                    .map(|it| (&*it.name, it.number.into(), &*it.doc))
                    .collect(),
            ),
            module(
                "The kinds of records.",
                "kind",
                records
                    .map(|it| (&*it.name, it.number.into(), &*it.doc))
                    .collect(),
            ),
            module(
                "The bits that say what is to be done with a carrier.",
                "carried",
                carried
                    .map(|(bit, it)| (&*it.name, 1 << bit, &*it.doc))
                    .collect(),
            ),
            module(
                "The bits that say which wires are in use.",
                "wires",
                wires
                    .map(|(bit, it)| (&*it.name, 1 << bit, &*it.doc))
                    .collect(),
            ),
            module(
                "The kinds of peers.",
                "peers",
                peers
                    .map(|(number, it)| (&*it.name, number as u32, &*it.doc))
                    .collect(),
            ),
        ]
        .join("\n")
    }

    fn summary(words: &[Name]) -> String {
        let fields = each(words, |Name { name, doc }| {
            format!("    /// {doc}\n    pub {}: u32,\n", name.to_lowercase())
        });
        let values = each(words, |Name { name, .. }| {
            format!("            self.{},\n", name.to_lowercase())
        });
        let count = words.len();
        format!(
            "/// The words behind the records that sum up a drain.
pub struct Summary {{
{fields}}}

impl Summary {{
    /// The number of words.
    pub const WORDS: usize = {count};

    /// The words in their order.
    pub fn words(&self) -> [u32; Self::WORDS] {{
        [
{values}        ]
    }}
}}
"
        )
    }

    fn command(commands: &[Command]) -> String {
        let variants = each(commands, |command| {
            let variant = command.with(|(kind, _)| (*kind).into());
            format!("    /// {}\n    {variant},\n", command.doc)
        });
        let any = |is: fn(&&Command) -> bool| {
            let names = commands.iter().filter(is);
            let names = names.map(|command| format!("Self::{}", command.with(|_| "_".into())));
            names.collect::<Vec<_>>().join("\n                | ")
        };
        let acknowledging = any(|command| command.acknowledges);
        let overtaking = any(|command| command.overtakes);
        format!(
            "/// One command to one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {{
{variants}}}

impl Command<'_> {{
    /// Whether the command answers an open of the peer's.
    pub fn is_acknowledgement(&self) -> bool {{
        matches!(
            self,
            {acknowledging}
        )
    }}

    /// Whether the command must keep its place among what is sent. Other commands concern reading, or go ahead of what is
    /// queued. They must not wait for a peer that does not read, because both ends would then wait for ever.
    pub fn is_ordered(&self) -> bool {{
        !matches!(
            self,
            {overtaking}
        )
    }}
}}
"
        )
    }

    fn decoder(commands: &[Command]) -> String {
        let with_payload = commands.iter().filter(|command| command.payload.is_some());
        let with_payload: Vec<_> = with_payload
            .map(|command| format!("op::{}", command.name))
            .collect();
        let with_payload = with_payload.join(" | ");
        let arms = each(commands, |command| {
            let found = command.with(|(_, found)| (*found).into());
            format!("        op::{} => Command::{found},\n", command.name)
        });
        format!(
            "/// Whether the third word of a command is the length of a payload.
pub fn has_payload(number: u32) -> bool {{
    matches!(number, {with_payload})
}}

/// Decodes a command that does not send data. The function is not inlined, because nearly all commands send data, and
/// are then decoded faster.
#[inline(never)]
pub fn not_data(number: u32, stream: Handle, argument: u32, payload: &[u8]) -> Option<Command<'_>> {{
    Some(match number {{
{arms}        _ => return None,
    }})
}}
"
        )
    }
}
