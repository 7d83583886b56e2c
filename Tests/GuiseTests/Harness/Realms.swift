import CGuise
import Foundation
import GuiseProtocol
import Testing

/// Real MIT KDCs on temporary files and ports of their own, one for each realm.
final class Realms {
    static let programs = "/usr/sbin"
    static var isPossible: Bool {
        ["krb5kdc", "kadmin.local", "kdb5_util"].allSatisfy { access("\(programs)/\($0)", X_OK) == 0 }
            && access("/usr/bin/kinit", X_OK) == 0
    }
    #if Kerberos
        static let isBuilt = true
    #else
        static let isBuilt = false
    #endif

    let stage: Stage
    /// What every process that speaks Kerberos here has to be told.
    let environment: [String: String]
    /// Where the principals are, if not in files.
    let server: DirectoryServer?
    private let directory: String
    private(set) var kdcs: [String: ChildProcess] = [:]

    /// - Parameters:
    ///   - names: of realms; the first is the usual one. They trust each other.
    ///   - library: more lines for `libdefaults`.
    ///   - inLDAP: whether principals are kept in a directory server.
    init(
        _ stage: Stage, _ names: [String] = ["A.TEST"], library: [String] = [], inLDAP: Bool = false
    ) throws {
        self.stage = stage
        server = inLDAP ? try DirectoryServer(stage) : nil
        directory = stage.folder("realms")
        environment = ["KRB5_CONFIG": directory + "/krb5.conf"]
        let ports = Dictionary(uniqueKeysWithValues: try names.map { ($0, try Self.freePort()) })
        let config =
            [
                "[libdefaults]", "default_realm = \(names[0])", "dns_lookup_kdc = false",
                "dns_lookup_realm = false", "dns_canonicalize_hostname = false", "rdns = false",
                "forwardable = true", "udp_preference_limit = 1",
            ] + library + ["[realms]"]
            + names.map { "\($0) = {\n  kdc = 127.0.0.1:\(ports[$0]!)\n}" } + ["[domain_realm]"]
            + names.map { ".\($0.lowercased()) = \($0)" }
        try (config.joined(separator: "\n") + "\n").write(
            toFile: directory + "/krb5.conf", atomically: false, encoding: .utf8)
        for name in names {
            let own = stage.folder("realms/" + name, mode: 0o700)
            try """
            [kdcdefaults]
            kdc_listen = 127.0.0.1:\(ports[name]!)
            kdc_tcp_listen = 127.0.0.1:\(ports[name]!)
            [realms]
            \(name) = {
              \(server == nil ? "database_name = \(own)/principal" : "database_module = ldap")
              key_stash_file = \(own)/stash
              max_life = 10h
              max_renewable_life = 1d
            }
            [logging]
            kdc = FILE:\(own)/kdc.log
            \(try server.map { $0.module(try $0.passwordFile()) } ?? "")
            """.write(toFile: own + "/kdc.conf", atomically: false, encoding: .utf8)
            if let server {
                try run(
                    name, "kdb5_ldap_util",
                    [
                        "-D", DirectoryServer.administrator, "-w", DirectoryServer.password, "-H", server.url,
                        "create", "-r", name, "-s", "-P", "master",
                    ])
            } else {
                try run(name, "kdb5_util", ["-r", name, "-P", "master", "create", "-s"])
            }
        }
        for (one, other) in names.flatMap({ one in names.map { (one, $0) } }) where one != other {
            for realm in [one, other] {
                try admin("addprinc -pw between-\(one)-\(other) krbtgt/\(one)@\(other)", in: realm)
            }
        }
        for name in names { try start(name) }
    }

    /// Starts a realm's KDC.
    func start(_ realm: String) throws {
        let log = directory + "/\(realm)/kdc.log"
        kdcs[realm] = try stage.start(
            ["\(Self.programs)/krb5kdc", "-n", "-r", realm], environment: environment(of: realm))
        try eventually("the KDC of \(realm)") {
            (try? String(contentsOfFile: log, encoding: .utf8))?.contains("commencing operation") == true
        }
    }

    private func environment(of realm: String) -> [String: String] {
        environment.merging(["KRB5_KDC_PROFILE": directory + "/\(realm)/kdc.conf"]) { $1 }
    }

    private static func freePort() throws -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let error = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1
            }
        }
        guard error == 0 else { throw HarnessError("no port: \(errno)") }
        return UInt16(bigEndian: address.sin_port)
    }

    @discardableResult
    private func run(_ realm: String, _ program: String, _ arguments: [String]) throws -> String {
        let variables = environment(of: realm).map { "\($0.key)=\($0.value)" }
        let outcome = try stage.run(
            ["/usr/bin/env"] + variables + ["\(Self.programs)/\(program)"] + arguments)
        guard outcome.status == 0 else { throw HarnessError("\(program): \(outcome.errors)") }
        return outcome.output
    }

    /// Has kadmin do something.
    @discardableResult
    func admin(_ query: String, in realm: String = "A.TEST") throws -> String {
        try run(realm, "kadmin.local", ["-r", realm, "-q", query])
    }

    /// A user's principal, whose password is its name.
    func principal(_ name: String, in realm: String = "A.TEST", _ options: String = "") throws {
        try admin("addprinc \(options) -pw \(name) \(name)", in: realm)
    }

    /// Makes a service's principal, and a keytab of it; returns its path.
    func keytab(_ principal: String, _ options: String = "") throws -> String {
        let path = directory + "/" + principal.replacing("/", with: "-") + ".keytab"
        try admin("addprinc -randkey \(options) \(principal)")
        try admin("ktadd -k \(path) \(principal)")
        return path
    }

    /// What a person's programs are told, whether he was logged on or not.
    func environment(of person: Person) -> [String: String] {
        environment.merging(["KRB5CCNAME": "FILE:\(stage.directory)/cache-\(person.name)/cc"]) { $1 }
    }

    /// Logs a person on at a KDC; returns what his programs are to be told.
    func log(
        _ person: Person, onAs principal: String, _ options: [String] = []
    ) throws -> [String: String] {
        stage.folder("cache-\(person.name)", of: person, mode: 0o700)
        let variables = environment(of: person)
        let outcome = try stage.run(
            ["/usr/bin/env"] + variables.map { "\($0.key)=\($0.value)" }
                + [
                    "/bin/sh", "-c",
                    "echo \(principal.prefix { $0 != "@" }) | kinit \(options.joined(separator: " ")) \(principal)",
                ], as: person)
        guard outcome.status == 0 else { throw HarnessError("kinit: \(outcome.errors)") }
        return variables
    }
}

/// A service with a keytab, alice and bob with tickets, and the rules that say who they are.
struct KerberosScene {
    let stage: Stage
    let realms: Realms
    let service: Service
    /// Somebody with a connection to the service, to tell it what to do.
    let client: Client
    let alice: Person
    let bob: Person
    /// A process of alice's that initiates.
    let alices: Client
    /// A file that alice alone may read.
    let hers: String

    /// A token of alice's for the service.
    func token(
        _ package: String = "Negotiate", target: String = "HTTP@files.a.test",
        level: String = "impersonation",
        of initiator: Client? = nil
    ) throws -> String {
        let words = try #require(
            try (initiator ?? alices).ask("initiate k \(package) \(target) \(level)").value
        ).split(separator: " ")
        return String(words[1])
    }

    /// Starts a service over TCP with a keytab for `HTTP/NAME.a.test`; returns its port.
    func launch(_ command: [String], named name: String) throws -> String {
        let account = try stage.service(name, privileges: ["SeImpersonatePrivilege"])
        try stage.setKeytab(name, try realms.keytab("HTTP/\(name).a.test"))
        try stage.launch(command, as: account, name: name)
        guard let port = stage.serviceLog(name).firstMatch(of: /serving (\d+)/)?.1 else {
            throw HarnessError("no port")
        }
        return String(port)
    }

    /// Runs a program of a person's with the tickets that he has; returns what it prints.
    func output(_ command: [String], as person: Person) throws -> String {
        let variables = realms.environment(of: person).map { "\($0.key)=\($0.value)" }
        return try stage.run(["/usr/bin/env"] + variables + command, as: person).output
    }

    /// A process of a person's that has tickets.
    func initiator(
        _ person: Person, _ principal: String, _ options: [String] = []
    ) throws -> Client {
        let variables = try realms.log(person, onAs: principal, options)
        return try Client(
            commandsOn: stage, as: person,
            by: ["/usr/bin/env"] + variables.map { "\($0.key)=\($0.value)" })
    }
}

extension Stage {
    /// Sets a service's keytab, by the tool.
    func setKeytab(_ account: String, _ path: String, _ options: [String] = []) throws {
        let outcome = try run([product("guise"), "account", "keytab", account, path] + options)
        guard outcome.status == 0 else { throw HarnessError("guise account keytab: \(outcome.errors)") }
    }

    /// Trusts a realm.
    func trust(_ realm: String, anonymous: Bool = false) throws {
        try ask(
            .issuerAdd(
                .with {
                    $0.issuer.name = realm.lowercased()
                    $0.issuer.kind = .kerberos
                    $0.issuer.identity = realm
                    $0.issuer.anyService = true
                    $0.issuer.unmappedAnonymous = anonymous
                }))
    }

    /// Says who a principal is; returns the rule's number.
    @discardableResult
    func map(_ principal: String, to person: Person) throws -> UInt64 {
        let realm = principal.split(separator: "@").last!.lowercased()
        guard
            case .mappings(let added) = try ask(
                .mappingAdd(
                    .with {
                        $0.issuer = realm
                        $0.attribute = "principal"
                        $0.value = principal
                        $0.accounts = [person.name]
                    }))
        else { throw HarnessError("no rule") }
        return added.mappings[0].id
    }
}

/// Runs a test where realms, a service with a keytab, and alice with a ticket are.
///
/// - Parameters:
///   - inLDAP: whether principals are kept in a directory server.
///   - delegates: whether the service may ask the KDC to act as its clients elsewhere.
func onRealms(
    _ names: [String] = ["A.TEST"], library: [String] = [], inLDAP: Bool = false, delegates: Bool = false,
    privileges: [String] = ["SeImpersonatePrivilege"], _ body: (KerberosScene) throws -> Void
) throws {
    try onStage(withAuthority: false) { (stage) throws in
        let realms = try Realms(stage, names, library: library, inLDAP: inLDAP)
        try stage.startAuthority(environment: realms.environment)
        let (alice, bob) = (try stage.user("alice"), try stage.user("bob"))
        try realms.principal("alice")
        try realms.principal("bob")
        let keytab = try realms.keytab("HTTP/files.a.test", delegates ? "+ok_to_auth_as_delegate" : "")
        let home = stage.folder("home", of: alice)
        let hers = try stage.file(home + "/hers", "hers", of: alice)
        let service = try stage.serve(try stage.service("files", privileges: privileges))
        try stage.setKeytab("files", keytab, delegates ? ["--delegate"] : [])
        try stage.trust("A.TEST")
        try stage.map("alice@A.TEST", to: alice)
        let variables = try realms.log(alice, onAs: "alice")
        let alices = try Client(
            commandsOn: stage, as: alice,
            by: ["/usr/bin/env"] + variables.map { "\($0.key)=\($0.value)" })
        try body(
            KerberosScene(
                stage: stage, realms: realms, service: service, client: try service.client(bob), alice: alice,
                bob: bob, alices: alices, hers: hers))
    }
}

extension Trait where Self == ConditionTrait {
    /// For tests with a KDC.
    static var withRealms: Self {
        .enabled(
            if: Realms.isBuilt && Realms.isPossible,
            "needs the package trait Kerberos, and the packages krb5-kdc, krb5-admin-server and krb5-user")
    }
    /// For tests with a KDC that knows who may go where for whom.
    static var withDelegationLists: Self {
        .enabled(
            if: Realms.isBuilt && Realms.isPossible && DirectoryServer.isPossible,
            "needs what other tests with a KDC need, and the packages krb5-kdc-ldap, slapd and ldap-utils")
    }
}
