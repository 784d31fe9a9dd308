//! A pattern as a program: instructions that a matcher runs from one position in the text to the next.

use super::pattern::{Class, Node, Pattern, Place};
use crate::error::{Error, Result};

/// One step of a match. Without a jump, the next instruction follows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Instruction {
    /// Takes one character of this class.
    One(usize),
    /// Takes as many characters of this class as possible, then fewer.
    Run {
        class: usize,
        state: usize,
    },
    /// Continues at `first`, and if that fails at `second`.
    Split {
        first: usize,
        second: usize,
        state: usize,
    },
    Jump(usize),
    Assert(Place),
    /// Tests whether the instructions after this one, up to [`Instruction::Match`], match; continues at `next`.
    Look {
        next: usize,
        back: Option<usize>,
        is_negative: bool,
    },
    /// Takes the first match of the instructions after this one; continues at `next`.
    Atomic {
        next: usize,
    },
    /// The end of the program, of a lookaround or of an atomic group.
    Match,
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) instructions: Vec<Instruction>,
    pub(super) classes: Vec<Class>,
    /// The number of instructions with more than one continuation.
    pub(super) n_states: usize,
    /// The maximum number of characters that a look-behind goes back.
    pub(super) most_back: usize,
    pub(super) first_bytes: Option<Box<[bool; 256]>>,
}

/// Real patterns have at most some hundred instructions; nested counted repeats could make billions.
const MOST_INSTRUCTIONS: usize = 20_000;

impl Program {
    /// Compile `text` to a program.
    pub(super) fn new(text: &str) -> Result<Self> {
        let pattern = Pattern::parse(text)?;
        let first_bytes = pattern.first_bytes().map(Box::new);
        let mut program =
            Self { instructions: Vec::new(), classes: Vec::new(), n_states: 0, most_back: 0, first_bytes };
        program.add(&pattern.root).map_err(|reason| Error::Pattern { pattern: text.to_owned(), reason })?;
        program.instructions.push(Instruction::Match);
        program.classes = pattern.classes;
        Ok(program)
    }

    fn here(&self) -> usize {
        self.instructions.len()
    }

    fn push(&mut self, instruction: Instruction) -> Result<usize, String> {
        if self.here() == MOST_INSTRUCTIONS {
            return Err(format!("compiles to more than {MOST_INSTRUCTIONS} steps, expected a shorter pattern"));
        }
        self.instructions.push(instruction);
        Ok(self.here() - 1)
    }

    fn state(&mut self) -> usize {
        self.n_states += 1;
        self.n_states - 1
    }

    fn add(&mut self, node: &Node) -> Result<(), String> {
        match node {
            Node::One(class) => self.push(Instruction::One(*class)).map(|_| ()),
            Node::Concat(children) => children.iter().try_for_each(|child| self.add(child)),
            Node::Alt(children) => self.add_alternatives(children),
            Node::Repeat { child, least, most, is_greedy } => {
                self.add_times(child, *least)?;
                match most {
                    None => self.add_loop(child, *is_greedy),
                    Some(most) => self.add_optional(child, most.saturating_sub(*least), *is_greedy),
                }
            }
            Node::Atomic(child) => {
                let at = self.push(Instruction::Atomic { next: 0 })?;
                self.add_apart(child)?;
                self.instructions[at] = Instruction::Atomic { next: self.here() };
                Ok(())
            }
            Node::Look { child, is_behind: false, is_negative } => self.add_look(child, None, *is_negative),
            Node::Look { child, is_behind: true, is_negative } => self.add_look_behind(child, *is_negative),
            Node::Assert(place) => self.push(Instruction::Assert(*place)).map(|_| ()),
        }
    }

    fn add_times(&mut self, child: &Node, n: usize) -> Result<(), String> {
        for _ in 0..n {
            let before = self.here();
            self.add(child)?;
            if self.here() == before {
                break; // empty, however often it repeats
            }
        }
        Ok(())
    }

    /// Add instructions that end with a match of their own.
    fn add_apart(&mut self, node: &Node) -> Result<(), String> {
        self.add(node)?;
        self.push(Instruction::Match).map(|_| ())
    }

    /// Add a split whose two targets are filled in later.
    fn push_split(&mut self) -> Result<(usize, usize), String> {
        let state = self.state();
        Ok((self.push(Instruction::Split { first: 0, second: 0, state })?, state))
    }

    fn fill_split(&mut self, (at, state): (usize, usize), body: usize, after: usize, is_greedy: bool) {
        let (first, second) = if is_greedy { (body, after) } else { (after, body) };
        self.instructions[at] = Instruction::Split { first, second, state };
    }

    fn add_alternatives(&mut self, children: &[Node]) -> Result<(), String> {
        let Some((last, others)) = children.split_last() else { return Ok(()) };
        let mut jumps = Vec::new();
        for child in others {
            let split = self.push_split()?;
            self.add(child)?;
            jumps.push(self.push(Instruction::Jump(0))?);
            let next = self.here();
            self.fill_split(split, split.0 + 1, next, true);
        }
        self.add(last)?;
        let end = self.here();
        for jump in jumps {
            self.instructions[jump] = Instruction::Jump(end);
        }
        Ok(())
    }

    fn add_loop(&mut self, child: &Node, is_greedy: bool) -> Result<(), String> {
        if let (Some(class), true) = (one_class(child), is_greedy) {
            let state = self.state();
            return self.push(Instruction::Run { class, state }).map(|_| ());
        }
        let split = self.push_split()?;
        self.add(child)?;
        self.push(Instruction::Jump(split.0))?;
        let after = self.here();
        self.fill_split(split, split.0 + 1, after, is_greedy);
        Ok(())
    }

    fn add_optional(&mut self, child: &Node, n: usize, is_greedy: bool) -> Result<(), String> {
        let mut splits = Vec::new();
        for _ in 0..n {
            splits.push(self.push_split()?);
            self.add(child)?;
        }
        let after = self.here();
        for split in splits {
            self.fill_split(split, split.0 + 1, after, is_greedy);
        }
        Ok(())
    }

    fn add_look(&mut self, child: &Node, back: Option<usize>, is_negative: bool) -> Result<(), String> {
        let at = self.push(Instruction::Look { next: 0, back, is_negative })?;
        self.add_apart(child)?;
        self.instructions[at] = Instruction::Look { next: self.here(), back, is_negative };
        Ok(())
    }

    /// Add a look-behind. It goes back as many characters as its matches have; this number may differ between
    /// alternatives.
    fn add_look_behind(&mut self, child: &Node, is_negative: bool) -> Result<(), String> {
        if let Some(length) = child.length() {
            self.most_back = self.most_back.max(length);
            return self.add_look(child, Some(length), is_negative);
        }
        match child {
            Node::Alt(children) => {
                let looks = children.iter().map(|child| Node::Look {
                    child: Box::new(child.clone()),
                    is_behind: true,
                    is_negative,
                });
                self.add(&if is_negative { Node::Concat(looks.collect()) } else { Node::Alt(looks.collect()) })
            }
            Node::Concat(children) if children.len() == 1 => self.add_look_behind(&children[0], is_negative),
            _ => Err("has a look-behind whose length varies, expected matches of one length".to_owned()),
        }
    }
}

fn one_class(node: &Node) -> Option<usize> {
    match node {
        Node::One(class) => Some(*class),
        Node::Concat(children) if children.len() == 1 => one_class(&children[0]),
        _ => None,
    }
}
