import ArgumentParser
import CGuise
import Glibc
import Guise
import GuiseProtocol
import ToolSupport

/// Becomes a service: its Unix user, no capabilities, mediated; then its program.
struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a program as a service that can act as its clients.",
        discussion: """
            Becomes the program: the process id stays, so that a service manager keeps track of it. The program
            runs as the Unix user of the service account, without capabilities, and every call by which it
            could reach a file or show who it is goes by the authority. When the authority ends, such calls
            fail until the service is started anew.

            Example, as a systemd unit's line:
              ExecStart=/usr/bin/guise run files -- /usr/bin/fileservice --socket /run/files.sock

            Exit codes: the program's own; 1 when it could not be started, 64 called wrongly.
            """)

    @OptionGroup var runtime: RuntimeOptions

    @Argument(help: "The service account.")
    var account: String

    @Argument(parsing: .postTerminator, help: "The program and its arguments, after --.")
    var command: [String] = []

    func validate() throws {
        guard !command.isEmpty else { throw ValidationError("name the program to run after --") }
    }

    func run() throws {
        let program = try Self.find(command[0])
        let authority = try runtime.connect()
        let runtimeDirectory = try absolutePath(authority.runtimeDirectory)
        guard case .launched(let service) = try authority.call(.launch(.with { $0.account = account })) else {
            throw ToolError("the authority's answer makes no sense")
        }
        let error = guise_credentials_become(
            service.unixUser, service.unixGroup, service.unixGroups, service.unixGroups.count)
        guard error == 0 else {
            throw ToolError("becoming uid \(service.unixUser) failed: \(String(cString: strerror(-error)))")
        }
        setenv("GUISE_RUNTIME_DIR", runtimeDirectory, 1)
        // An authority without root is let in where Yama lets only ancestors in otherwise.
        guise_allow_tracer(Int32(bitPattern: service.mediator))
        let listener = guise_filter_install()
        guard listener >= 0 else {
            throw ToolError("installing the seccomp filter failed: \(String(cString: strerror(-listener)))")
        }
        // Until the authority answers nothing but read, write and send is safe; without a listener, trapped
        // calls fail instead of waiting for ever.
        do {
            defer { close(listener) }
            _ = try authority.call(.mediate(.with { $0.listener = UInt32(listener) }))
        }
        var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) }
        arguments.append(nil)
        execv(program, arguments)
        throw ToolError("running \(program) failed: \(String(cString: strerror(errno)))")
    }

    /// The program by its path, or by $PATH when it has no slash, looked for while that needs no authority.
    private static func find(_ name: String) throws -> String {
        if name.contains("/") { return name }
        let places = getenv("PATH").map { String(cString: $0) } ?? "/usr/local/bin:/usr/bin:/bin"
        for place in places.split(separator: ":") {
            let path = "\(place)/\(name)"
            if access(path, X_OK) == 0 { return path }
        }
        throw ToolError("there is no program \(name) in $PATH")
    }
}
