//! Guests in text form: `tests/guests/wat`, each a behaviour that the frame there makes a component.

use serde_json::{Value, json};

use crate::app::repository;

/// The contract that the host offers.
const CONTRACT: &str = "tarefa:guest/module@0.1.0";

/// A component around one of the behaviours.
pub struct TextGuest {
    behaviour: String,
    description: String,
    before_describe: String,
    contract: String,
}

impl TextGuest {
    /// The behaviour of `tests/guests/wat/<name>.wat`, as a module with the one task `run`.
    pub fn new(name: &str) -> TextGuest {
        TextGuest {
            behaviour: read(name),
            description: json!({"entries": [{"name": "run", "kind": "task"}]}).to_string(),
            before_describe: String::new(),
            contract: CONTRACT.to_owned(),
        }
    }

    /// With more that the entry says of itself, such as its limits.
    pub fn entry(self, more: Value) -> TextGuest {
        let mut entry = json!({"name": "run", "kind": "task"});
        entry.as_object_mut().unwrap().extend(more.as_object().expect("an entry is an object").clone());
        self.describing(json!({"entries": [entry]}))
    }

    /// With all that `describe` returns.
    pub fn describing(self, description: Value) -> TextGuest {
        self.saying(&description.to_string())
    }

    /// With any text that `describe` returns.
    pub fn saying(self, text: &str) -> TextGuest {
        TextGuest { description: text.to_owned(), ..self }
    }

    /// With instructions that `describe` begins with.
    pub fn before_describe(self, instructions: &str) -> TextGuest {
        TextGuest { before_describe: instructions.to_owned(), ..self }
    }

    /// With another name of what it exports.
    pub fn contract(self, name: &str) -> TextGuest {
        TextGuest { contract: name.to_owned(), ..self }
    }

    /// The component's bytes.
    pub fn build(&self) -> Vec<u8> {
        let description: String = self.description.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        let text = read("frame")
            .replace("{description_len}", &self.description.len().to_string())
            .replace("{description}", &description)
            .replace("{before_describe}", &self.before_describe)
            .replace("{contract}", &self.contract)
            .replace("{behaviour}", &self.behaviour);
        ::wat::parse_str(text).expect("the frame and the behaviour are a component")
    }
}

/// The component of one behaviour.
pub fn text_guest(name: &str) -> Vec<u8> {
    TextGuest::new(name).build()
}

/// The component of a file that is whole by itself.
pub fn whole_text_guest(name: &str) -> Vec<u8> {
    ::wat::parse_str(read(name)).expect("the file is a component")
}

fn read(name: &str) -> String {
    let path = repository().join(format!("tests/guests/wat/{name}.wat"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("`{}`: {error}", path.display()))
}
