import AccessControl
import ArgumentParser
import Glibc
import Guise
import GuiseProtocol
import ToolSupport

struct AccountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account",
        abstract: "Keep users, groups and services.",
        discussion: """
            Every account has a SID that is never given to another. Anyone may list
            them; only administrators (root, and members of Administrators) may change
            them.
            """,
        subcommands: [
            Add.self, Remove.self, List.self, Show.self, Grant.self, Revoke.self, Join.self, Leave.self,
            Integrity.self, Password.self, Keytab.self,
        ])

    /// An integrity level by name.
    enum Level: String, ExpressibleByArgument, CaseIterable {
        case untrusted, low, medium, high, system

        var rid: UInt32 {
            switch self {
            case .untrusted: IntegrityLevel.untrusted.rawValue
            case .low: IntegrityLevel.low.rawValue
            case .medium: IntegrityLevel.medium.rawValue
            case .high: IntegrityLevel.high.rawValue
            case .system: IntegrityLevel.system.rawValue
            }
        }
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Add a user, a group or a service.",
            discussion: """
                Examples:
                  guise account add alice --uid 1001 --join staff
                  guise account add staff --group --gid 2000
                  guise account add files --service --uid 900 --grant SeImpersonatePrivilege

                  pass alice | guise account add alice --password-stdin

                The uid says which Unix user the account is; each belongs to one account at
                most. A service needs one of its own, to run under, unless the authority runs
                without root. A user without one is logged on by password, and for the kernel
                is nobody.
                """)

        enum Kind: String, EnumerableFlag {
            case user, group, service

            var wire: WireAccountKind {
                switch self {
                case .user: .user
                case .group: .group
                case .service: .service
                }
            }
        }

        @Argument(help: "The name; upper and lower case are the same.")
        var name: String
        @Flag(help: "What to add.")
        var kind: Kind = .user
        @Option(help: "The uid of a user or service.")
        var uid: UInt32?
        @Option(help: "The gid of a group; the primary gid of a user or service (else its uid).")
        var gid: UInt32?
        @Option(
            name: .customLong("grant"),
            help: ArgumentHelp("A privilege to grant; may be repeated.", valueName: "privilege"))
        var privileges: [String] = []
        @Option(
            name: .customLong("join"),
            help: ArgumentHelp("A group to join; may be repeated.", valueName: "group"))
        var groups: [String] = []
        @Option(help: "How far its tokens are trusted, if not as others of its kind.")
        var integrity: Level?
        @Flag(help: "Read a password to log the user on by, one line, from standard input.")
        var passwordStdin = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func validate() throws {
            if kind != .user, passwordStdin { throw ValidationError("Only users are logged on by password.") }
            if kind == .group, integrity != nil { throw ValidationError("A group has no integrity level.") }
            if kind == .group, uid != nil { throw ValidationError("A group has no uid: say --gid.") }
            if kind == .user, gid != nil, uid == nil {
                throw ValidationError("A primary gid is of no use without a uid: say --uid too.")
            }
        }

        /// The request these arguments stand for.
        var request: WireAccountAdd {
            WireAccountAdd.with {
                $0.account.name = name
                $0.account.kind = kind.wire
                if let id = kind == .group ? gid : uid { $0.account.unixID = id }
                if kind != .group, let gid { $0.account.unixGroup = gid }
                $0.account.privileges = privileges
                $0.account.groups = groups
                if let integrity { $0.account.integrity = integrity.rid }
            }
        }

        func run() throws {
            let password = passwordStdin ? try SecretInput.line() : nil
            let authority = try runtime.connect()
            let added = try authority.call(.accountAdd(request))
            do {
                try password?.send(.passwordSet(.with { $0.account = name }), to: authority)
            } catch {
                _ = try? authority.call(.accountRemove(.with { $0.name = name }))
                throw error
            }
            try AccountCommand.show(added, as: output)
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove an account and end its sessions.",
            discussion: """
                Example:
                  guise account remove alice

                Descriptors that name it keep its SID, which no other account gets.
                """)

        @Argument(help: "The account.")
        var name: String
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            _ = try runtime.connect().call(.accountRemove(WireAccountRemove.with { $0.name = name }))
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List every account.",
            discussion: """
                Examples:
                  guise account list
                  guise account list --json
                """)

        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let accounts = try runtime.connect().accounts().map(AccountView.init)
            if output.json { return try JSON.show(accounts) }
            var table = Table("NAME", "KIND", "UID", "GID", "SID")
            for account in accounts {
                table.add(
                    account.name, account.kind, account.uid.map(String.init) ?? "-",
                    account.gid.map(String.init) ?? "-", account.sid)
            }
            table.show()
        }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one account.",
            discussion: """
                Examples:
                  guise account show alice
                  guise account show S-1-5-32-544
                """)

        @Argument(help: "The account's name or SID.")
        var name: String
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            let authority = try runtime.connect()
            let sid = try authority.sid(named: name)
            guard let record = try authority.accounts().first(where: { $0.sid == sid }) else {
                throw ToolError("\(name) is \(sid), which is not an account of this machine")
            }
            try AccountCommand.show(.account(record), as: output)
        }
    }

    struct Grant: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Grant privileges to an account.",
            discussion: """
                Example:
                  guise account grant files SeImpersonatePrivilege

                It counts from the next logon on: restart a service to give it what it was
                granted.
                """)

        @Argument(help: "The account.")
        var name: String
        @Argument(help: "The privileges, by their Windows names.")
        var privileges: [String]
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            try AccountCommand.change(name, runtime, output) { $0.grant = privileges }
        }
    }

    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take privileges from an account.",
            discussion: """
                Example:
                  guise account revoke files SeImpersonatePrivilege

                Tokens that were given out keep it until their session ends.
                """)

        @Argument(help: "The account.")
        var name: String
        @Argument(help: "The privileges, by their Windows names.")
        var privileges: [String]
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            try AccountCommand.change(name, runtime, output) { $0.revoke = privileges }
        }
    }

    struct Join: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Put an account into groups.",
            discussion: """
                Examples:
                  guise account join alice staff
                  guise account join staff Administrators
                """)

        @Argument(help: "The account, which may be a group.")
        var name: String
        @Argument(help: "The groups.")
        var groups: [String]
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            try AccountCommand.change(name, runtime, output) { $0.join = groups }
        }
    }

    struct Leave: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take an account out of groups.",
            discussion: """
                Example:
                  guise account leave alice staff
                """)

        @Argument(help: "The account.")
        var name: String
        @Argument(help: "The groups.")
        var groups: [String]
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func run() throws {
            try AccountCommand.change(name, runtime, output) { $0.leave = groups }
        }
    }

    struct Integrity: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say how far an account's tokens are trusted.",
            discussion: """
                Examples:
                  guise account integrity kiosk low
                  guise account integrity kiosk --usual

                What is labelled above a token's level it cannot write, whatever else the
                descriptor allows; what has no label counts as medium. Users are medium,
                members of Administrators high, services system, unless said otherwise.
                It counts from the next logon on.
                """)

        @Argument(help: "The user or service.")
        var name: String
        @Argument(help: "The level.")
        var level: Level?
        @Flag(help: "As others of its kind.")
        var usual = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func validate() throws {
            guard (level != nil) != usual else { throw ValidationError("Say a level, or --usual.") }
        }

        func run() throws {
            try AccountCommand.change(name, runtime, output) {
                if let level { $0.level = level.rid } else { $0.usualIntegrity = true }
            }
        }
    }

    struct Password: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set the password by which a user is logged on.",
            discussion: """
                Examples:
                  guise account password alice
                  pass alice | guise account password alice --stdin
                  guise account password alice --remove

                Asks twice on the terminal, without echo. It is for logons at this authority
                alone, and has nothing to do with the machine's own passwords. Without one
                nobody is logged on as the user; sessions that there are go on until they end
                (guise session end).
                """)

        @Argument(help: "The user.")
        var name: String
        @Flag(help: "Read it, one line, from standard input.")
        var stdin = false
        @Flag(help: "Take it away: nobody is logged on by it any more.")
        var remove = false
        @OptionGroup var runtime: RuntimeOptions

        func validate() throws {
            if stdin, remove { throw ValidationError("Say --stdin or --remove.") }
        }

        func run() throws {
            let request = WireRequest.OneOf_Body.passwordSet(.with { $0.account = name })
            if remove {
                _ = try runtime.connect().call(request)
            } else {
                let password = stdin ? try SecretInput.line() : try SecretInput.new(for: name)
                try password.send(request, to: try runtime.connect())
            }
        }
    }

    struct Keytab: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Set or take away a service's Kerberos keytab.",
            discussion: """
                Examples:
                  guise account keytab files /root/files.keytab
                  guise account keytab web /root/web.keytab --delegate
                  guise account keytab files --remove

                The authority keeps a copy that nobody else reads, the service neither; the file
                is not needed any more. With it the authority judges what the service's clients
                prove themselves by (Kerberos, Negotiate).
                """)

        @Argument(help: "The service.")
        var name: String
        @Argument(help: "The keytab, as ktadd makes it.", completion: .file())
        var file: String?
        @Flag(
            help: "Let the service act as its clients on other machines, as far as the KDC lets it.")
        var delegate = false
        @Flag(help: "Take it away.")
        var remove = false
        @OptionGroup var runtime: RuntimeOptions

        func validate() throws {
            guard (file == nil) == remove, !(remove && delegate) else {
                throw ValidationError("Say a file or --remove.")
            }
        }

        func run() throws {
            let request = WireRequest.OneOf_Body.keytabSet(
                .with {
                    $0.account = name
                    $0.delegate = delegate
                })
            guard let file else {
                _ = try runtime.connect().call(request)
                return
            }
            let secret = try SecretInput.file(file)
            defer { close(secret) }
            _ = try runtime.connect().call(request, descriptor: secret)
        }
    }

    /// What grant, revoke, join and leave have in common.
    fileprivate static func change(
        _ name: String, _ runtime: RuntimeOptions, _ output: OutputOptions,
        _ fill: (inout WireAccountChange) -> Void
    ) throws {
        var request = WireAccountChange()
        request.name = name
        fill(&request)
        try show(try runtime.connect().call(.accountChange(request)), as: output)
    }

    fileprivate static func show(_ body: WireResponse.OneOf_Body, as output: OutputOptions) throws {
        guard case .account(let record) = body else { throw AuthorityClient.surprise }
        if output.json { try JSON.show(AccountView(record)) } else { AccountView(record).show() }
    }
}
