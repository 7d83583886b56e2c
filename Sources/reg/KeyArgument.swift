import ArgumentParser
import Registry
import RegistryFiles
import RegistryModel

/// A key as people name it.
enum KeyArgument {
    /// Reads `HKLM/Software/Acme` and `HKLM\Software\Acme`.
    static func path(_ text: String) throws -> RegistryPath {
        try RegistryPath(
            inFile: text.utf8.contains(UInt8(ascii: "\\")) ? text : text.replacing("/", with: "\\"))
    }

    /// Completes hives, and keys that the caller may list.
    static let completion = CompletionKind.custom { _, _, prefix in completions(of: prefix) }

    static func completions(of prefix: String, socket: String? = nil) -> [String] {
        guard let end = prefix.lastIndex(where: { $0 == "/" || $0 == "\\" }) else {
            return ["HKLM", "HKCU", "HKU", "Machine", "CurrentUser", "Users"].filter {
                isStart(prefix, of: $0)
            }
        }
        let (above, separator) = (prefix[..<end], prefix[end])
        let start = prefix[prefix.index(after: end)...]
        // No shell wants to know what went wrong while somebody types.
        guard let path = try? path(String(above)),
            let key = try? RegistryKey.open(path.description, for: .enumerateSubKeys, socket: socket),
            let found = try? key.subkeys()
        else { return [] }
        return found.map(\.name.text)
            .filter { isStart(start, of: $0) && (separator == "\\" || !$0.contains("/")) }
            .map { "\(above)\(separator)\($0)" }
    }

    private static func isStart(_ start: some StringProtocol, of name: String) -> Bool {
        name.lowercased().hasPrefix(start.lowercased())
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
        name: [.customShort("v"), .customLong("value")],
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
