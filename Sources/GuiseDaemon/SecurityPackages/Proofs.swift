import AccessControl
import Dispatch
import Synchronization

#if JWT
    import JWTKit
#endif

/// The security packages that the authority does the work of itself.
enum SecurityPackageName {
    static let jwt = "JWT"
    static let tls = "TLS"
    static let anonymous = "Anonymous"
}

/// What clients prove themselves by that the authority checks itself. Takes its time: for workers.
enum Proofs {
    /// Says that a file of keys is none that could be used.
    ///
    /// - Throws: `badRequest`; `unsupported` when this authority was built without what it takes.
    static func checkKeys(of issuer: Issuer) throws(Refused) {
        guard issuer.keys.count <= Issuer.largestKeySize else {
            throw Refused(.badRequest, "the keys take more than \(Issuer.largestKeySize) bytes")
        }
        switch issuer.kind {
        case .kerberos: break
        case .jwt: try BearerKeys.check(issuer.keys)
        case .certificate: try ClientCertificates.check(issuer.keys)
        }
    }

    /// Runs what is asynchronous on the calling thread, so that it waits for no other.
    static func waiting<Value: Sendable>(for body: @escaping @Sendable () async -> Value) -> Value {
        let result = Mutex<Value?>(nil)
        let thread = CallingThread()
        Task(executorPreference: thread) {
            let value = await body()
            result.withLock { $0 = value }
        }
        while true {
            thread.runNext()
            if let value = result.withLock({ $0 }) { return value }
        }
    }
}

/// Runs the jobs of a task on the thread that waits for it.
private final class CallingThread: TaskExecutor {
    private let jobs = Mutex<[UnownedJob]>([])
    private let arrived = DispatchSemaphore(value: 0)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
        arrived.signal()
    }

    /// Waits for a job, and runs it.
    func runNext() {
        arrived.wait()
        jobs.withLock { $0.removeFirst() }.runSynchronously(on: asUnownedTaskExecutor())
    }
}

/// The public keys of who signs JWTs (JWKS, RFC 7517).
enum BearerKeys {
    #if JWT
        /// - Throws: `badRequest` unless all of them are public keys that tokens can be checked by, each with a `kid` of its
        ///   own.
        static func check(_ file: [UInt8]) throws(Refused) {
            func refusal(_ rule: String) -> Refused { Refused(.badRequest, "the JWKS is refused: \(rule)") }
            let set: JSONValue
            do throws(JSONValue.Malformed) { set = try JSONValue(parsing: file) } catch {
                throw refusal("it is no JSON, or has two members of one name")
            }
            guard case .array(let keys) = set["keys"], !keys.isEmpty, keys.count <= 64 else {
                throw refusal("it has no array `keys` of 1 to 64 keys")
            }
            var names: Set<[UInt8]> = []
            for key in keys {
                guard let name = key["kid"]?.string, !name.isEmpty, names.insert(Array(name.utf8)).inserted
                else {
                    throw refusal("a key has no `kid`, or that of another one")
                }
                guard key["d"] == nil, key["k"] == nil, key["kty"] != .string("oct") else {
                    throw refusal("the key \(quoted(name)) is secret; give the public one")
                }
                guard key["use"] == nil || key["use"] == .string("sig") else {
                    throw refusal("the key \(quoted(name)) is not for signatures")
                }
                if key["kty"] == .string("RSA") {
                    guard let modulus = key["n"]?.string, let bytes = base64URLDecoded(modulus.utf8),
                        (256...1024).contains(bytes.drop { $0 == 0 }.count)
                    else { throw refusal("the RSA key \(quoted(name)) has not 2048 to 8192 bits") }
                }
            }
            guard (try? keySet(file)) != nil else { throw refusal("a key is of a kind that is not known") }
        }

        /// Checks a token's signature.
        static func verify(_ token: BearerToken, by issuer: Issuer) throws(Refused) {
            func refusal(_ rule: String) -> Refused {
                Refused(.logonFailure, "the token of \(quoted(issuer.name)) is refused: \(rule)")
            }
            guard issuer.algorithms.contains(where: { $0.utf8.elementsEqual(token.algorithm.utf8) }) else {
                throw refusal("it is signed by \(token.algorithm), which is not allowed")
            }
            guard let keys = try? keySet(issuer.keys),
                let known = keys.keys.first(where: {
                    $0.keyIdentifier?.string.utf8.elementsEqual(token.keyID.utf8) == true
                })
            else { throw refusal("it is signed by a key that is not known (kid)") }
            guard known.algorithm.map({ $0.rawValue == token.algorithm }) ?? true,
                let algorithm = JWK.Algorithm(rawValue: token.algorithm)
            else { throw refusal("its key is for another algorithm") }
            var key = known
            key.algorithm = algorithm
            let isRight = Proofs.waiting { [key] in
                do {
                    // One key alone: jwt-kit takes another one where it does not find a token's.
                    let keys = try await JWTKeyCollection().add(jwk: key)
                    _ = try await keys.verify(token.bytes, as: AnyClaims.self)
                    return true
                } catch { return false }
            }
            guard isRight else { throw refusal("its signature is wrong") }
        }

        private static let known = Mutex<[[UInt8]: JWKS]>([:])

        /// Reads the keys of an issuer, or remembers them.
        private static func keySet(_ file: [UInt8]) throws -> JWKS {
            if let keys = known.withLock({ $0[file] }) { return keys }
            let keys = try DefaultJWTParser().jsonDecoder.decode(JWKS.self, from: .init(file))
            known.withLock {
                if $0.count >= Issuer.largestCount { $0 = [:] }
                $0[file] = keys
            }
            return keys
        }

        /// The claims are read by ``BearerToken``.
        private struct AnyClaims: JWTPayload {
            func verify(using algorithm: some JWTAlgorithm) {}
        }
    #else
        private static let missing = Refused(
            .unsupported, "this authority was built without JWT (the package trait of that name)")

        static func check(_ file: [UInt8]) throws(Refused) { throw missing }
        static func verify(_ token: BearerToken, by issuer: Issuer) throws(Refused) { throw missing }
    #endif
}
