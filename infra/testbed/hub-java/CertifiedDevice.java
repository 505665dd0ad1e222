import com.microsoft.azure.sdk.iot.provisioning.security.SecurityProviderX509;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyFactory;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import java.util.Collection;
import java.util.List;

/** A certificate and the key to it, from PEM, in the shape that the SDKs take. */
class CertifiedDevice extends SecurityProviderX509 {
  private final String id;
  private final X509Certificate certificate;
  private final Key key;

  CertifiedDevice(String id, String certificate, String privateKey) throws GeneralSecurityException {
    this.id = id;
    byte[] pem = certificate.getBytes(StandardCharsets.US_ASCII);
    this.certificate = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(pem));
    byte[] bytes = Base64.getMimeDecoder().decode(privateKey.replaceAll("-----[A-Z ]+-----", ""));
    this.key = KeyFactory.getInstance("EC").generatePrivate(new PKCS8EncodedKeySpec(bytes));
  }

  @Override
  public String getClientCertificateCommonName() {
    return id;
  }

  @Override
  public X509Certificate getClientCertificate() {
    return certificate;
  }

  @Override
  public Key getClientPrivateKey() {
    return key;
  }

  @Override
  public Collection<X509Certificate> getIntermediateCertificatesChain() {
    return List.of();
  }
}
