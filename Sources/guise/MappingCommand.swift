import ArgumentParser
import Foundation
import Guise
import GuiseProtocol
import ToolSupport

struct MappingCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mapping",
        abstract: "Say which clients from elsewhere are which accounts.",
        discussion: """
            An issuer (a Kerberos realm, a certification authority, who signs JWTs)
            vouches for clients; rules say which accounts they are. Without a rule a
            client is refused. Only administrators see and change them.
            """,
        subcommands: [Trust.self, Distrust.self, Add.self, Remove.self, List.self])

    struct Trust: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Trust an issuer of clients.",
            discussion: """
                Examples:
                  guise mapping trust corp --kerberos EXAMPLE.ORG --service web
                  guise mapping trust devices --certificate-authority ca.pem --service web
                  guise mapping trust login --jwt https://login.example.org/ --keys jwks.json \\
                      --audience https://web.example.org --algorithm ES256 --service web

                The certificates or keys are read now and kept: what becomes of the file
                later does not count. To change an issuer, distrust it and trust it anew.
                """)

        @Argument(help: "What the issuer is to be called: of a-z, 0-9, '-', '.' and '_'.")
        var name: String
        @Option(help: ArgumentHelp("A Kerberos realm, in its case.", valueName: "realm"))
        var kerberos: String?
        @Option(
            help: ArgumentHelp("Certificates of a certification authority (PEM).", valueName: "file"),
            completion: .file())
        var certificateAuthority: String?
        @Option(help: ArgumentHelp("Who signs JWTs: their claim iss.", valueName: "issuer"))
        var jwt: String?
        @Option(
            help: ArgumentHelp("The public keys of who signs JWTs (JWKS).", valueName: "file"),
            completion: .file())
        var keys: String?
        @Option(help: "For whom its JWTs must be (aud), one of these; may be repeated.")
        var audience: [String] = []
        @Option(
            help: "How its JWTs may be signed (alg), as RS256, PS256, ES256 or EdDSA; may be repeated.",
            completion: .list([
                "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
            ]))
        var algorithm: [String] = []
        @Option(
            help: ArgumentHelp(
                "An account whose processes may have its clients; may be repeated.", valueName: "account"))
        var service: [String] = []
        @Flag(help: "Every process may have its clients.")
        var anyService = false
        @Flag(help: "Let a client in as Anonymous that no rule names.")
        var anonymous = false
        @OptionGroup var runtime: RuntimeOptions

        func validate() throws {
            guard [kerberos, certificateAuthority, jwt].compactMap(\.self).count == 1 else {
                throw ValidationError("Say one of --kerberos, --certificate-authority and --jwt.")
            }
            guard (jwt != nil) == (keys != nil), (jwt != nil) == !audience.isEmpty,
                (jwt != nil) == !algorithm.isEmpty
            else { throw ValidationError("--keys, --audience and --algorithm belong to --jwt.") }
            guard anyService != !service.isEmpty else {
                throw ValidationError("Say the accounts by --service, or --any-service.")
            }
        }

        func run() throws {
            let file = certificateAuthority ?? keys
            let bytes = try file.map { path in
                do { return try Data(contentsOf: URL(fileURLWithPath: path)) } catch {
                    throw ToolError("\(path) could not be read: \(error.localizedDescription)")
                }
            }
            guard bytes?.count ?? 0 <= 49_152 else {
                throw ToolError("\(file ?? "") has more than 49152 bytes")
            }
            let record = WireIssuerRecord.with {
                $0.name = name
                $0.kind = kerberos != nil ? .kerberos : jwt != nil ? .jwt : .certificate
                $0.identity = kerberos ?? jwt ?? ""
                $0.keys = bytes ?? Data()
                $0.audiences = audience
                $0.algorithms = algorithm
                $0.services = service
                $0.anyService = anyService
                $0.unmappedAnonymous = anonymous
            }
            _ = try runtime.connect().call(.issuerAdd(.with { $0.issuer = record }))
        }
    }

    struct Distrust: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Trust an issuer no more.",
            discussion: """
                Example:
                  guise mapping distrust corp

                Its rules go with it, and the sessions that came about by them end.
                """)

        @Argument(help: "The issuer.")
        var name: String
        @OptionGroup var runtime: RuntimeOptions

        func run() throws { _ = try runtime.connect().call(.issuerRemove(.with { $0.name = name })) }
    }

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say which account a client is, or that it is refused.",
            discussion: """
                Examples:
                  guise mapping add corp principal alice@EXAMPLE.ORG --account alice
                  guise mapping add corp principal --by-name alice --by-name bob
                  guise mapping add devices email --by-name alice --domain example.org
                  guise mapping add devices serial 0a:1b:2c --refuse
                  guise mapping add login sub 248289761001 --account alice

                Attributes: of Kerberos principal; of certificates email, upn, uri, dns
                (alternative names) and subject, and to be refused serial; of JWTs any claim
                that is text.
                Values are compared byte by byte; only the domain of email and upn, dns and
                serial are the same in upper and lower case.
                By name, the client is that of the accounts named whose name the value is,
                followed by @ and the domain, if there is one.
                """)

        @Argument(help: "The issuer.")
        var issuer: String
        @Argument(help: "What of the client is looked at.")
        var attribute: String
        @Argument(help: "What it has to be.")
        var value: String?
        @Option(help: "The account that the client with this value is.")
        var account: String?
        @Option(
            help: ArgumentHelp(
                "An account that clients of its name are; may be repeated.", valueName: "account"))
        var byName: [String] = []
        @Option(help: "What follows the name, after an @.")
        var domain: String?
        @Flag(help: "Refuse the client with this value, whatever other rules say.")
        var refuse = false
        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        func validate() throws {
            guard [account != nil, !byName.isEmpty, refuse].filter(\.self).count == 1 else {
                throw ValidationError("Say one of --account, --by-name and --refuse.")
            }
            guard (value == nil) == !byName.isEmpty else {
                throw ValidationError("A value goes with --account and --refuse, and with nothing else.")
            }
            guard domain == nil || !byName.isEmpty else {
                throw ValidationError("--domain goes with --by-name.")
            }
        }

        func run() throws {
            let request = WireMappingAdd.with {
                $0.issuer = issuer
                $0.attribute = attribute
                $0.value = value ?? domain ?? ""
                $0.accounts = account.map { [$0] } ?? byName
                $0.byName = !byName.isEmpty
            }
            guard case .mappings(let added) = try runtime.connect().call(.mappingAdd(request)) else {
                throw AuthorityClient.surprise
            }
            let rules = added.mappings.map(RuleView.init)
            if output.json { return try JSON.show(rules) }
            RuleView.table(rules).show()
        }
    }

    struct Remove: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a rule.",
            discussion: """
                Example:
                  guise mapping remove 7

                The sessions that came about by it end.
                """)

        @Argument(help: "The rule's number, as guise mapping list shows it.")
        var rule: UInt64
        @OptionGroup var runtime: RuntimeOptions

        func run() throws { _ = try runtime.connect().call(.mappingRemove(.with { $0.id = rule })) }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List issuers and rules.",
            discussion: """
                Examples:
                  guise mapping list
                  guise mapping list --json
                """)

        @OptionGroup var output: OutputOptions
        @OptionGroup var runtime: RuntimeOptions

        private struct Everything: Encodable {
            let issuers: [IssuerView]
            let rules: [RuleView]
        }

        func run() throws {
            let authority = try runtime.connect()
            let issuers = try authority.issuers().map(IssuerView.init)
            let rules = try authority.mappings().map(RuleView.init)
            if output.json { return try JSON.show(Everything(issuers: issuers, rules: rules)) }
            var table = Table("ISSUER", "KIND", "UNMAPPED", "SERVICES", "IDENTITY")
            for issuer in issuers {
                table.add(
                    issuer.name, issuer.kind, issuer.unmapped,
                    issuer.anyService ? "any" : issuer.services.joined(separator: ","), issuer.identity ?? "-"
                )
            }
            table.show()
            Tool.say("")
            RuleView.table(rules).show()
        }
    }

    private struct IssuerView: Encodable {
        let name: String
        let kind: String
        /// nil for certificates: their certification authority is what was in the file.
        let identity: String?
        let audiences: [String]
        let algorithms: [String]
        let unmapped: String
        let services: [String]
        let anyService: Bool

        init(_ record: WireIssuerRecord) {
            name = record.name
            kind =
                switch record.kind {
                case .kerberos: "kerberos"
                case .certificate: "certificate"
                case .jwt: "jwt"
                case .unspecified, .UNRECOGNIZED: "unknown"
                }
            identity = record.identity.isEmpty ? nil : record.identity
            audiences = record.audiences
            algorithms = record.algorithms
            unmapped = record.unmappedAnonymous ? "anonymous" : "refused"
            services = record.services
            anyService = record.anyService
        }
    }

    private struct RuleView: Encodable {
        let rule: UInt64
        let issuer: String
        let attribute: String
        /// nil: the account's name.
        let value: String?
        /// nil: none.
        let domain: String?
        /// nil: refused.
        let account: String?

        init(_ record: WireMappingRecord) {
            rule = record.id
            issuer = record.issuer
            attribute = record.attribute
            value = record.byName ? nil : record.value
            domain = record.byName && !record.value.isEmpty ? record.value : nil
            account = record.account.isEmpty ? nil : record.account
        }

        static func table(_ rules: [RuleView]) -> Table {
            var table = Table("RULE", "ISSUER", "ATTRIBUTE", "ACCOUNT", "VALUE")
            for rule in rules {
                let name = (rule.account ?? "") + (rule.domain.map { "@" + $0 } ?? "")
                table.add(
                    "\(rule.rule)", rule.issuer, rule.attribute, rule.account ?? "(refused)",
                    rule.value ?? "\(name) (by name)")
            }
            return table
        }
    }
}
