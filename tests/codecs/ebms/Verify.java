// A second opinion on our signatures: the XML digital signature of the Java platform, nothing else.
// java Verify ENVELOPE CERTIFICATE [CONTENT-ID FILE]... prints "good" or "bad" and which part differs.

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.cert.CertificateFactory;
import java.util.HashMap;
import java.util.Map;
import javax.xml.crypto.Data;
import javax.xml.crypto.OctetStreamData;
import javax.xml.crypto.URIDereferencer;
import javax.xml.crypto.dsig.Reference;
import javax.xml.crypto.dsig.XMLSignature;
import javax.xml.crypto.dsig.XMLSignatureFactory;
import javax.xml.crypto.dsig.dom.DOMValidateContext;
import javax.xml.parsers.DocumentBuilderFactory;
import org.w3c.dom.Document;

public class Verify {
    public static void main(String[] args) throws Exception {
        DocumentBuilderFactory documents = DocumentBuilderFactory.newInstance();
        documents.setNamespaceAware(true);
        Document document = documents.newDocumentBuilder().parse(Path.of(args[0]).toFile());
        Map<String, byte[]> parts = new HashMap<>();
        for (int at = 2; at + 1 < args.length; at += 2) {
            parts.put("cid:" + args[at], Files.readAllBytes(Path.of(args[at + 1])));
        }
        try (InputStream pem = Files.newInputStream(Path.of(args[1]))) {
            DOMValidateContext context = new DOMValidateContext(
                CertificateFactory.getInstance("X.509").generateCertificate(pem).getPublicKey(),
                document.getElementsByTagNameNS(XMLSignature.XMLNS, "Signature").item(0));
            context.setProperty("org.jcp.xml.dsig.secureValidation", Boolean.FALSE);
            XMLSignatureFactory factory = XMLSignatureFactory.getInstance("DOM");
            URIDereferencer own = factory.getURIDereferencer();
            context.setURIDereferencer((reference, inner) -> {
                byte[] part = parts.get(reference.getURI());
                Data served = part == null ? null : new OctetStreamData(new ByteArrayInputStream(part));
                return served == null ? own.dereference(reference, inner) : served;
            });
            XMLSignature signature = factory.unmarshalXMLSignature(context);
            boolean good = signature.validate(context);
            StringBuilder differs = new StringBuilder();
            for (Object each : signature.getSignedInfo().getReferences()) {
                Reference reference = (Reference) each;
                if (!reference.validate(context)) {
                    differs.append(' ').append('[').append(reference.getURI()).append(']');
                }
            }
            System.out.println((good ? "good" : "bad") + differs);
        }
    }
}
