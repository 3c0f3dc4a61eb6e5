from django.db import migrations, models


def key_to(model: str) -> models.ForeignKey:
    return models.ForeignKey(on_delete=models.CASCADE, to=model, related_name="+")


class Migration(migrations.Migration):
    initial = True

    dependencies = [("django_totp", "0001_initial")]

    operations = [
        migrations.CreateModel(
            "Note",
            [("id", models.BigAutoField(primary_key=True)), ("totp", key_to("django_totp.totp"))],
        ),
        migrations.CreateModel(
            "CodeNote",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("code", key_to("django_totp.backupcode")),
            ],
        ),
    ]
