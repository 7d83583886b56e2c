import ArgumentParser

/// A word as the shell that asks for completions has it on its command line. All by scalars: a quote and an accent after
/// it are one character.
enum ShellWord {
    /// A word without its quotes and escapes, the last quotes perhaps still open.
    static func read(_ word: String) -> String {
        switch CompletionShell.requesting {
        case .bash, .zsh: break
        // Up to version 3 words come without them.
        case .fish where CompletionShell.requestingVersion?.hasPrefix("3.") == false: break
        default: return word
        }
        var out = String.UnicodeScalarView()
        var quote: Unicode.Scalar?
        var isEscaped = false
        for scalar in word.unicodeScalars {
            if isEscaped {
                // Between double quotes a backslash is one before anything else.
                if quote == "\"", !"$`\"\\".unicodeScalars.contains(scalar) { out.append("\\") }
                out.append(scalar)
                isEscaped = false
            } else if scalar == "\\", quote != "'" {
                isEscaped = true
            } else if scalar == quote {
                quote = nil
            } else if quote == nil, scalar == "'" || scalar == "\"" {
                quote = scalar
            } else {
                out.append(scalar)
            }
        }
        return String(out)
    }

    /// A completion such that the shell takes it as it is: bash expands what it is given, commands in it too, and zsh sees
    /// a description after a colon.
    static func write(_ word: String) -> String {
        switch CompletionShell.requesting {
        case .bash: "'" + escaped(word, ["'": #"'\''"#]) + "'"
        case .zsh: escaped(word, ["\\": #"\\"#, ":": #"\:"#])
        default: word
        }
    }

    private static func escaped(_ word: String, _ escapes: [Unicode.Scalar: String]) -> String {
        var out = String.UnicodeScalarView()
        for scalar in word.unicodeScalars {
            if let escape = escapes[scalar] {
                out.append(contentsOf: escape.unicodeScalars)
            } else {
                out.append(scalar)
            }
        }
        return String(out)
    }
}
