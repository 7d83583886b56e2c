import Glibc

/// Accepting a client by Kerberos, from the service's call to the context that it can impersonate, beside the library's part:
/// tokens of the same kind accepted by it in the service's place, with the same keytab and a replay cache like Guise's.
func kerberosSuite() throws {
    #if Kerberos
        var suite = Suite("Kerberos")
        guard KerberosOnStage.isPossible else {
            suite.say(
                "not measured",
                "needs the packages krb5-kdc, krb5-admin-server and krb5-user, for a KDC of its own")
            return
        }
        let stage = try Stage()
        defer { stage.end() }
        let kerberos = try KerberosOnStage(stage)
        let service = try stage.service()
        let bare = try stage.worker("--worker-plain", "\(Stage.service)", "")
        let client = try stage.worker("--worker-plain", "\(Stage.alice)", "")
        let tokens = stage.directory + "/sockets/tokens"
        var turns = Turns()
        let rows = ["Kerberos", "Negotiate"].map { package in
            (package, "\(package): the library's accept", "\(package): accept, impersonate, revert")
        }
        for (package, library, whole) in rows {
            turns.add(library) {
                try client.ask("make-tokens 10 \(package) \(tokens)")
                return try bare.measure("accept-tokens-bare \(kerberos.keytab) \(tokens)")
            }
            turns.add(whole) {
                try client.ask("make-tokens 10 \(package) \(tokens)")
                return try service.measure("accept-tokens \(package) \(tokens)")
            }
        }
        try turns.run()
        for (package, library, whole) in rows {
            if let result = turns.results[library] {
                suite.record(library, result, median: turns.medians[library])
            }
            guard let result = turns.results[whole] else { continue }
            suite.record(whole, result, median: turns.medians[whole], baseline: library, atMost: 2)
            if let part = turns.results[library] {
                suite.say("\(package): the library's share", "\(Int((part / result * 100).rounded())) %")
            }
        }
    #else
        print("\nKerberos\n  not measured: build the benchmarks with the package trait Kerberos")
    #endif
}

/// A KDC on a stage, alice with a ticket, and the service's keytab.
struct KerberosOnStage {
    private static let programs = ["krb5kdc", "kadmin.local", "kdb5_util"].map { "/usr/sbin/" + $0 }
    private static let kinit = "/usr/bin/kinit"
    static var isPossible: Bool { (programs + [kinit]).allSatisfy { access($0, X_OK) == 0 } }

    /// For the stage's processes that speak Kerberos, all of them.
    static func environment(in directory: String) -> [(String, String)] {
        [
            ("KRB5_CONFIG", directory + "/kerberos/krb5.conf"),
            ("KRB5_KDC_PROFILE", directory + "/kerberos/kdc.conf"),
            ("KRB5CCNAME", "FILE:\(directory)/kerberos/alice.cc"),
            // The bare library's; guise-gss gets another one of the kind from the authority.
            ("KRB5RCACHENAME", "file2:\(directory)/kerberos/replay"),
        ]
    }

    /// The bare service's copy.
    let keytab: String

    init(_ stage: Stage) throws {
        let directory = stage.directory + "/kerberos"
        keytab = directory + "/keytab"
        mkdir(directory, 0o755)
        let port = try Self.freePort()
        try Self.write(
            directory + "/krb5.conf",
            """
            [libdefaults]
            default_realm = A.TEST
            dns_lookup_kdc = false
            dns_lookup_realm = false
            dns_canonicalize_hostname = false
            rdns = false
            udp_preference_limit = 1
            [realms]
            A.TEST = {
              kdc = 127.0.0.1:\(port)
            }
            """)
        try Self.write(
            directory + "/kdc.conf",
            """
            [kdcdefaults]
            kdc_listen = 127.0.0.1:\(port)
            kdc_tcp_listen = 127.0.0.1:\(port)
            [realms]
            A.TEST = {
              database_name = \(directory)/principal
              key_stash_file = \(directory)/stash
            }
            """)
        try ChildProcess.run(["/usr/sbin/kdb5_util", "-r", "A.TEST", "-P", "master", "create", "-s"])
        for query in [
            "addprinc -randkey alice", "ktadd -k \(directory)/alice.keytab alice",
            "addprinc -randkey HTTP/files.a.test", "ktadd -k \(keytab) HTTP/files.a.test",
        ] {
            try ChildProcess.run(["/usr/sbin/kadmin.local", "-r", "A.TEST", "-q", query])
        }
        try stage.run(["/usr/sbin/krb5kdc", "-n", "-r", "A.TEST"], directory + "/kdc.log")
        var isReady = false
        for _ in 0..<100 where !isReady {
            usleep(50_000)
            isReady =
                (try? ChildProcess.run([Self.kinit, "-k", "-t", directory + "/alice.keytab", "alice"])) != nil
        }
        guard isReady else {
            throw BenchError("the KDC gives alice no ticket; its log is \(directory)/kdc.log")
        }
        chown(directory + "/alice.cc", Stage.alice, Stage.alice)
        chown(keytab, Stage.service, Stage.service)
        close(open(directory + "/replay", O_CREAT | O_RDWR | O_CLOEXEC, 0o600))
        chown(directory + "/replay", Stage.service, Stage.service)
        try stage.guise("account", "keytab", "bench-files", keytab)
        try stage.guise("mapping", "trust", "a.test", "--kerberos", "A.TEST", "--any-service")
        try stage.guise("mapping", "add", "a.test", "principal", "alice@A.TEST", "--account", "bench-alice")
    }

    private static func write(_ path: String, _ text: String) throws {
        guard let file = fopen(path, "w"), fputs(text + "\n", file) >= 0, fclose(file) == 0 else {
            throw BenchError("\(path): \(String(cString: strerror(errno)))")
        }
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
        guard error == 0 else { throw BenchError("no port: \(String(cString: strerror(errno)))") }
        return UInt16(bigEndian: address.sin_port)
    }
}

#if Kerberos
    import CFloor
    import CGSSBaseline
    import Guise
    import GuiseKerberos
    import Synchronization

    /// The client's part and the services', in their processes.
    enum KerberosWorker {
        private static let credentials = Mutex<[String: UInt]>([:])

        /// Makes tokens of alice's for the service, and keeps them in a file: a length and a token each.
        static func make(_ count: Int, _ package: String, at path: String) throws {
            var bytes: [UInt8] = []
            for _ in 0..<count {
                let token = try judge(package).initiate(to: "HTTP@files.a.test").step([]).reply
                withUnsafeBytes(of: UInt32(token.count)) { bytes += $0 }
                bytes += token
            }
            let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
            defer { close(file) }
            guard write(file, bytes, bytes.count) == bytes.count else {
                throw BenchError("\(path): \(String(cString: strerror(errno)))")
            }
        }

        /// Accepts each, and acts as its client once. Returns the nanoseconds of one; how it ends is not in them.
        static func accept(_ package: String, at path: String) throws -> Double {
            let tokens = try read(path)
            var took = 0.0
            for token in tokens {
                let start = bench_now()
                let step = try judge(package).accept().step(token)
                guard case .finished(let context, _) = step else {
                    throw BenchError("one step is not enough")
                }
                try context.impersonate()
                revertToSelf()
                took += bench_now() - start
            }
            return took / Double(tokens.count)
        }

        /// Has the library alone accept each.
        static func acceptBare(keytab: String, at path: String) throws -> Double {
            let tokens = try read(path)
            let known = credentials.withLock { all in
                if let one = all[keytab] { return one }
                let one = UInt(bitPattern: bench_gss_credential(keytab))
                all[keytab] = one
                return one
            }
            guard let credential = UnsafeMutableRawPointer(bitPattern: known) else {
                throw BenchError("no credentials of \(keytab)")
            }
            var took = 0.0
            for token in tokens {
                let one = bench_gss_accept(credential, token, token.count)
                guard one >= 0 else { throw BenchError("the library does not accept the token") }
                took += one
            }
            return took / Double(tokens.count)
        }

        private static func judge(_ package: String) -> any SecurityPackage {
            package == "Negotiate" ? Negotiate() : Kerberos()
        }

        private static func read(_ path: String) throws -> [[UInt8]] {
            let file = open(path, O_RDONLY | O_CLOEXEC)
            defer { close(file) }
            var bytes = [UInt8](repeating: 0, count: 1 << 20)
            let size = Glibc.read(file, &bytes, bytes.count)
            guard size > 0 else { throw BenchError("\(path): \(String(cString: strerror(errno)))") }
            var rest = bytes[..<size]
            var tokens: [[UInt8]] = []
            while rest.count >= 4 {
                let length = Int(rest.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) })
                rest = rest.dropFirst(4)
                tokens.append(Array(rest.prefix(length)))
                rest = rest.dropFirst(length)
            }
            return tokens
        }
    }
#endif
