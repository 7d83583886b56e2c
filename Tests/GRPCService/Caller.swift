#if GRPC
    import AccessControl
    import Foundation
    import GRPCCore
    import GRPCNIOTransportHTTP2Posix
    import Guise
    import GuiseGRPC
    #if Kerberos
        import GuiseKerberos
    #endif

    /// Calls a method and prints what came of it: a line for each answer, or the status and its message.
    ///
    ///   --level LEVEL        what the service may do
    ///   --ticket BASE64      this ticket, and none of the interceptor's; several times: several
    ///   --raw TEXT           the metadata as it is
    ///   --negotiate TARGET   a proof by Negotiate instead
    ///   --proof TEXT         this `authorization`; several times: several
    ///   --no-identity        no ticket
    ///   --times N            so many calls at once
    ///   --stream             all messages in one call, answered one by one
    ///   --leave              go after the first answer
    enum Caller {
        static func run(_ address: String, _ service: String, _ words: [String]) async throws {
            var words = words
            func flag(_ name: String) -> Bool {
                guard let index = words.firstIndex(of: name) else { return false }
                words.remove(at: index)
                return true
            }
            func option(_ name: String) -> String? {
                guard let index = words.firstIndex(of: name) else { return nil }
                defer { words.removeSubrange(index...index + 1) }
                return words[index + 1]
            }
            var metadata = Metadata()
            var isPlain = flag("--no-identity")
            while let ticket = option("--ticket") {
                metadata.addBinary(Array(Data(base64Encoded: ticket) ?? Data()), forKey: "guise-ticket-bin")
                isPlain = true
            }
            while let raw = option("--raw") {
                metadata.addString(
                    raw.hasPrefix("x*") ? String(repeating: "A", count: Int(raw.dropFirst(2))!) : raw,
                    forKey: "guise-ticket-bin")
                isPlain = true
            }
            while let proof = option("--proof") {
                metadata.addString(proof, forKey: "authorization")
                isPlain = true
            }
            let levels: [String: ImpersonationLevel] = [
                "anonymous": .anonymous, "identification": .identification, "delegation": .delegation,
            ]
            let level = option("--level").flatMap { levels[$0] }
            var interceptors: [any ClientInterceptor] =
                isPlain
                ? [] : [IdentityClientInterceptor(for: service, level: level, lifetime: .seconds(300))]
            if let target = option("--negotiate") {
                #if Kerberos
                    interceptors = [
                        SecurityClientInterceptor(Negotiate(), for: target, level: level ?? .impersonation)
                    ]
                #endif
            }
            let times = option("--times").flatMap(Int.init) ?? 1
            let (isStream, leaves) = (flag("--stream"), flag("--leave"))
            let port = Int(address)
            let transport = try HTTP2ClientTransport.Posix(
                target: port.map { .ipv4(address: "127.0.0.1", port: $0) }
                    ?? .unixDomainSocket(path: address),
                transportSecurity: .plaintext)
            let (method, messages, given) = (words[0], Array(words.dropFirst()), metadata)
            try await withGRPCClient(transport: transport, interceptors: interceptors) { client in
                @Sendable func call(_ messages: [String]) async -> [String] {
                    do {
                        return try await client.bidirectionalStreaming(
                            request: StreamingClientRequest(metadata: given) { writer in
                                for message in messages {
                                    try await writer.write(message)
                                    try await Task.sleep(for: .milliseconds(2))
                                }
                            }, descriptor: MethodDescriptor(method), serializer: TextSerializer(),
                            deserializer: TextDeserializer(), options: .defaults
                        ) { response in
                            var answers: [String] = []
                            for try await answer in response.messages {
                                if leaves { exit(0) }
                                answers.append(answer)
                            }
                            return answers
                        }
                    } catch let error as RPCError {
                        return ["\(error.code): \(error.message)"]
                    } catch { return ["\(error)"] }
                }
                let calls = isStream ? [messages] : messages.map { [$0] }
                for line in await withTaskGroup(
                    of: (Int, [String]).self, returning: [String].self,
                    body: {
                        group in
                        for index in 0..<times * calls.count {
                            group.addTask { (index, await call(calls[index % calls.count])) }
                        }
                        return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }
                            .flatMap(\.1)
                    })
                {
                    print(line)
                }
            }
        }
    }
#endif
