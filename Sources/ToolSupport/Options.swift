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

/// A path as the authority wants it, which has another working directory than we. What it leads through is for
/// the authority to resolve, with our rights.
package func absolutePath(_ path: String) throws -> String {
    guard !path.isEmpty else { throw ToolError("an empty path names nothing") }
    // A named pipe lies in no directory.
    guard !path.hasPrefix("/"), !path.lowercased().hasPrefix(#"\\.\pipe\"#) else { return path }
    guard let current = getcwd(nil, 0) else {
        throw ToolError("the working directory is gone (\(String(cString: strerror(errno))))")
    }
    defer { free(current) }
    return String(cString: current) + "/" + path
}

/// The one name that the authority knows a managed root by, even when the folder is not there any more.
package func canonicalPath(_ path: String) throws -> String {
    let path = try absolutePath(path)
    if let real = realpath(path, nil) {
        defer { free(real) }
        return String(cString: real)
    }
    var parts: [Substring] = []
    for part in path.split(separator: "/") {
        switch part {
        case ".": break
        case "..": _ = parts.popLast()
        default: parts.append(part)
        }
    }
    return "/" + parts.joined(separator: "/")
}
