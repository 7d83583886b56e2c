import ArgumentParser
import Registry
import RegistryFiles
import RegistryModel
import ToolSupport

/// A key as people name it.
enum KeyArgument {
    /// Reads `HKLM/Software/Acme` and `HKLM\Software\Acme`.
    static func path(_ text: String) throws -> RegistryPath {
        guard !text.utf8.contains(UInt8(ascii: "\\")) else { return try RegistryPath(inFile: text) }
        // By scalars: a slash and an accent after it are one character.
        let scalars = text.unicodeScalars.map { $0 == "/" ? "\\" : $0 }
        return try RegistryPath(inFile: String(String.UnicodeScalarView(scalars)))
    }

    /// Completes hives, and keys that the caller may list.
    static let completion = CompletionKind.custom { words, _, prefix in
        let words = words.map(ShellWord.read)
        let socket = words.firstIndex(of: "--socket").flatMap { $0 + 1 < words.count ? words[$0 + 1] : nil }
        return completions(of: ShellWord.read(prefix), socket: socket).map(ShellWord.write)
    }

    private static func completions(of typed: String, socket: String?) -> [String] {
        let scalars = typed.unicodeScalars
        let separator: Unicode.Scalar = scalars.contains("\\") ? "\\" : "/"
        guard let end = scalars.lastIndex(of: separator) else {
            return ["HKLM", "HKCU", "HKU", "Machine", "CurrentUser", "Users"].compactMap {
                completed(typed, to: $0)
            }
        }
        let (above, start) = (String(scalars[...end]), String(scalars[scalars.index(after: end)...]))
        // No shell wants to know what went wrong while somebody types.
        guard let path = try? path(above),
            let key = try? RegistryKey.open(path.description, for: .enumerateSubKeys, socket: socket),
            let found = try? key.subkeys()
        else { return [] }
        return found.map(\.name.text)
            .filter { separator == "\\" || !$0.utf8.contains(UInt8(ascii: "/")) }
            .compactMap { completed(start, to: $0) }.map { above + $0 }
    }

    /// What was typed and the rest of a name, where the one begins the other in any case: shells take nothing else for a
    /// completion. nil for names that no terminal shows.
    private static func completed(_ start: String, to name: String) -> String? {
        let folded = start.isEmpty ? [] : (try? RegistryKeyName(start))?.folded
        guard let folded, let whole = try? RegistryKeyName(name).folded, whole.starts(with: folded),
            visible(name) == name
        else { return nil }
        // A folded name has as many scalars as the name.
        let rest = name.unicodeScalars.dropFirst(start.unicodeScalars.count)
        return start + String(rest)
    }
}

/// Where the registry is found.
struct RegistryOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where the registry listens (else $GUISE_REGISTRY, else beside the authority).", valueName: "path"
        ),
        completion: .file())
    var socket: String?

    func open(
        _ path: RegistryPath, for access: RegistryAccess = .allRead, options: RegistryKey.Options = [],
        in transaction: RegistryTransaction? = nil
    ) throws(RegistryError) -> RegistryKey {
        try RegistryKey.open(
            path.description, for: access, options: options, in: transaction, socket: socket)
    }

    func create(
        _ path: RegistryPath, for access: RegistryAccess, in transaction: RegistryTransaction? = nil
    ) throws(RegistryError) -> RegistryKey {
        try RegistryKey.create(path.description, for: access, in: transaction, socket: socket)
    }
}

/// One value of a key.
struct ValueOptions: ParsableArguments {
    @Option(
        name: [.customShort("v"), .customLong("value")], parsing: .unconditional,
        help: ArgumentHelp("A value's name.", valueName: "name"))
    var name: String?
    @Flag(name: [.customLong("ve"), .customLong("default")], help: "The default value.")
    var isDefault = false

    /// The name that was said; nil where none was.
    var chosen: String? { isDefault ? "" : name }

    func validate() throws {
        guard !isDefault || name == nil else { throw ValidationError("say --value or --default, not both") }
    }
}
