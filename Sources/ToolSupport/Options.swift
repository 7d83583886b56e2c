package import ArgumentParser
import Glibc
package import Guise

/// Where the authority is found.
package struct RuntimeOptions: ParsableArguments {
    @Option(
        name: .customLong("runtime"),
        help: ArgumentHelp(
            "The authority's runtime directory (else $GUISE_RUNTIME_DIR, else /run/guise).",
            valueName: "dir"),
        completion: .directory)
    package var directory: String?

    package init() {}

    /// Connects to the authority.
    package func connect() throws(GuiseError) -> AuthorityClient {
        try AuthorityClient(runtimeDirectory: directory)
    }
}

/// How the answer is shown.
package struct OutputOptions: ParsableArguments {
    @Flag(help: "Print JSON, for programs.")
    package var json = false

    package init() {}
}

/// A path as the authority wants it, which has another working directory than we.
///
/// Symbolic links are resolved as far as the path exists, so that a root is known by one name.
package func absolutePath(_ path: String) throws -> String {
    guard !path.isEmpty else { throw ToolError("an empty path names nothing") }
    if let real = realpath(path, nil) {
        defer { free(real) }
        return String(cString: real)
    }
    return try lexicalPath(path)
}

/// An absolute path in its shortest form, made without looking at any file.
package func lexicalPath(_ path: String) throws -> String {
    var whole = path
    if !path.hasPrefix("/") {
        guard let current = getcwd(nil, 0) else {
            throw ToolError("the working directory is gone: \(String(cString: strerror(errno)))")
        }
        defer { free(current) }
        whole = String(cString: current) + "/" + path
    }
    var parts: [Substring] = []
    for part in whole.split(separator: "/") {
        switch part {
        case ".": break
        case "..": _ = parts.popLast()
        default: parts.append(part)
        }
    }
    return "/" + parts.joined(separator: "/")
}
